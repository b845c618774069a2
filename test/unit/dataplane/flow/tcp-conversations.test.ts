/** TCP through the engine, one line a segment (test/support/conversation.ts tells how to read them). */
import { describe, expect, it } from 'vitest';
import { Cold, coldWords } from '../../../../src/dataplane/flow/flow-record.ts';
import { play, tcpStateOf } from '../../../support/conversation.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import type { FixtureOptions } from '../../../support/engine-fixture.ts';
import { inboundPolicy } from '../../../support/policies.ts';

const handshake = `
  > S  seq=100 win=8192          pass syn_sent
  < SA seq=300 ack=101 win=8192  pass syn_recv
  > A  seq=101 ack=301           pass established
`;

const scaledHandshake = `
  > S  seq=100 win=65535 ws=7 sackok          pass syn_sent
  < SA seq=300 ack=101 win=65535 ws=7 sackok  pass syn_recv
  > A  seq=101 ack=301 win=512                pass established
`;

function conversation(
  name: string,
  lines: string,
  options: Omit<FixtureOptions, 'policy'> = {},
): void {
  it(name, () => {
    play(new EngineFixture({ policy: inboundPolicy(), ...options }), lines);
  });
}

describe('life of a connection', () => {
  conversation(
    'open, talk, close from the client',
    `${handshake}
    > PA seq=101 ack=301 len=100         pass established
    < A  seq=301 ack=201 len=1000        pass established
    > A  seq=201 ack=1301                pass established
    > FA seq=201 ack=1301                pass fin_wait
    < A  seq=1301 ack=202                pass close_wait
    < FA seq=1301 ack=202                pass last_ack
    > A  seq=202 ack=1302                pass time_wait
    wait 119                             time_wait
    wait 1                               -`,
  );
  conversation(
    'half open, it waits for the handshake only, however short the timeout of unacknowledged data is',
    `> S  seq=100          pass syn_sent
    < SA seq=300 ack=101   pass syn_recv
    wait 59                syn_recv
    wait 1                 -`,
    { timeouts: { tcpUnacknowledged: 10, tcpRetransmitted: 10 } },
  );
  conversation(
    'close from the server, with FIN and ACK in one',
    `${handshake}
    < FA seq=301 ack=101  pass fin_wait
    > FA seq=101 ack=302  pass last_ack
    < A  seq=302 ack=102  pass time_wait`,
  );
  conversation(
    'simultaneous open',
    `> S  seq=100          pass syn_sent
    < S  seq=300           pass syn_sent2
    > SA seq=100 ack=301   pass syn_recv
    < SA seq=300 ack=101   pass syn_recv
    > A  seq=101 ack=301   pass established`,
  );
  conversation(
    'refused: the RST is the only answer',
    `> S  seq=100          pass syn_sent
    < RA seq=0 ack=101    pass -`,
  );
  conversation(
    'a retransmitted SYN does not keep a half-open flow alive',
    `> S  seq=100  pass syn_sent
    wait 60       syn_sent
    > S  seq=100  pass syn_sent
    wait 59       syn_sent
    wait 1        -`,
  );
  conversation(
    'an unfinished handshake is forgotten after a minute',
    `> S  seq=100          pass syn_sent
    < SA seq=300 ack=101  pass syn_recv
    wait 60               -`,
  );
  conversation(
    'the same ports again from TIME_WAIT',
    `${handshake}
    > FA seq=101 ack=301   pass fin_wait
    < FA seq=301 ack=102   pass last_ack
    > A  seq=102 ack=302   pass time_wait
    > S  seq=9000          pass syn_sent
    < SA seq=700 ack=9001  pass syn_recv
    > A  seq=9001 ack=701  pass established`,
  );
  conversation(
    'the server opens from the same ports: the policy is asked, and says no',
    `${handshake}
    > FA seq=101 ack=301   pass fin_wait
    < FA seq=301 ack=102   pass last_ack
    > A  seq=102 ack=302   pass time_wait
    < S  seq=9000          no-outbound-rule -`,
  );
});

describe('an answer to another SYN', () => {
  for (const [name, answer] of [
    ['newer', 'seq=70000 ack=9000         out-of-window'],
    ['older', 'seq=70000 ack=4294000000   pass'],
  ] as const) {
    conversation(
      `that is ${name} does not take the place of the right one`,
      `> S  seq=100            pass syn_sent
      < SA ${answer} syn_sent
      < SA seq=300 ack=101    pass syn_recv
      > A  seq=101 ack=301    pass established`,
    );
  }
});

describe('what opens no flow', () => {
  for (const flags of ['A', 'PA', 'SA', 'FA', 'R', 'RA']) {
    conversation(`${flags} out of the blue`, `> ${flags} seq=1 ack=1 invalid-state -`);
    conversation(
      `${flags} from the server out of the blue`,
      `< ${flags} seq=1 ack=1 invalid-state -`,
    );
  }
  conversation(
    'with loose tracking an ACK picks a connection up',
    `> A  seq=101 ack=301 len=10  pass established
    < A  seq=301 ack=111         pass established
    > A  seq=111 ack=99301       pass established`,
    { loose: true },
  );
  conversation(
    'unanswered, what was picked up is kept as long as a SYN',
    `> A  seq=101 ack=301  pass established
    wait 119              established
    wait 1                -`,
    { loose: true },
  );
  conversation(
    'answered once, what was picked up is kept like unacknowledged data',
    `> A  seq=101 ack=301  pass established
    < A  seq=301 ack=101  pass established
    wait 299              established
    wait 1                -`,
    { loose: true },
  );
  conversation(
    'answered in both directions, what was picked up is a connection',
    `> A  seq=101 ack=301  pass established
    < A  seq=301 ack=101  pass established
    > A  seq=101 ack=301  pass established
    wait 300              established`,
    { loose: true },
  );
  for (const flags of ['R seq=101', 'RA seq=101 ack=301', 'RA seq=5000000 ack=301']) {
    conversation(
      `the opener gives up what was picked up and never answered: ${flags}`,
      `> A  seq=101 ack=301  pass established
      > ${flags}  pass -`,
      { loose: true },
    );
  }
  conversation(
    'of scaled windows that nobody has seen, an RST is not held against its sender',
    `> A  seq=101 ack=301      pass established
    < A  seq=301 ack=101      pass established
    > A  seq=101 ack=301      pass established
    > A  seq=900101 ack=301   pass established
    > R  seq=900101           pass established
    wait 10                   -`,
    { loose: true },
  );
  conversation(
    'the ends of what was picked up begin again: then the window counts',
    `> A  seq=101 ack=301      pass established
    > S  seq=5000             pass established
    < SA seq=9000 ack=5001    pass syn_recv
    < A  seq=2000000 ack=5001 out-of-window syn_recv
    > A  seq=5001 ack=9001    pass established`,
    { loose: true },
  );
  conversation(
    'loose tracking does not take FIN or RST',
    `> FA seq=1 ack=1 invalid-state -
    > R seq=1 invalid-state -`,
    { loose: true },
  );
});

describe('out of place', () => {
  conversation(
    'client ACK and FIN before the SYN+ACK',
    `> S  seq=100           pass syn_sent
    > A  seq=101 ack=301   invalid-state syn_sent
    > FA seq=101 ack=301   invalid-state syn_sent
    > SA seq=100 ack=301   invalid-state syn_sent`,
  );
  conversation(
    'a SYN from the server in an established connection',
    `${handshake}
    < S seq=301 invalid-state established`,
  );
  conversation(
    'a challenge ACK passes in SYN_SENT and the RST that answers it closes',
    `> S  seq=100              pass syn_sent
    < A  seq=5000 ack=7777     pass syn_sent
    > R  seq=7777              pass close`,
  );
  conversation(
    'both ends are in step and we are not: SYN and SYN+ACK start afresh',
    `${handshake}
    > S  seq=500000            pass established
    < SA seq=900000 ack=500001 pass syn_recv
    > A  seq=500001 ack=900001 pass established
    > A  seq=500001 ack=900001 len=10 pass established`,
  );
  conversation(
    'a SYN+ACK that does not answer it changes nothing',
    `${handshake}
    > S  seq=500000            pass established
    < SA seq=900000 ack=499999 pass established
    > A  seq=101 ack=301 len=5 pass established`,
  );
  conversation(
    'the challenge ACK of a stray SYN does not finish LAST_ACK',
    `${handshake}
    > FA seq=101 ack=301   pass fin_wait
    < FA seq=301 ack=102   pass last_ack
    > S  seq=5000          pass last_ack
    < A  seq=302 ack=102   pass last_ack
    > A  seq=102 ack=302   pass time_wait`,
  );
});

describe('windows', () => {
  conversation(
    'beyond the receiver window, acknowledging the unsent: dropped; too old: ignored',
    `${handshake}
    > A seq=101 ack=301 len=1000       pass established
    > A seq=100000 ack=301 len=10      out-of-window established
    > A seq=1101 ack=90000             out-of-window established
    < A seq=301 ack=99999              out-of-window established
    > A seq=101 ack=301 len=1000       pass established
    > A seq=4294900000 ack=301         pass established`,
  );
  conversation(
    'a scaled window admits what it says, and not more',
    `${scaledHandshake}
    < A seq=301 ack=101 len=60000    pass established
    < A seq=60301 ack=101 len=5000   pass established
    < A seq=400000 ack=101 len=10    out-of-window established`,
  );
  conversation(
    'scaling counts only if both sides offer it',
    `> S  seq=100 win=1000 ws=7        pass syn_sent
    < SA seq=300 ack=101 win=1000    pass syn_recv
    > A  seq=101 ack=301 win=1000    pass established
    < A  seq=301 ack=101 len=1000    pass established
    < A  seq=9000 ack=101 len=10     out-of-window established`,
  );
  conversation(
    'a SACK block beyond what was sent',
    `${scaledHandshake}
    < A seq=301 ack=101 len=1000               pass established
    > A seq=101 ack=301 sack=801-1301          pass established
    > A seq=101 ack=301 sack=1801-900001       out-of-window established`,
  );
  conversation(
    'a super-packet counts with its true length',
    `${scaledHandshake}
    < A seq=301 ack=101 len=65000    pass established
    > A seq=101 ack=65301 win=512    pass established
    > A seq=101 ack=65302            out-of-window established`,
  );
  conversation(
    'liberal lets everything but RST pass',
    `${handshake}
    > A seq=900000000 ack=301 len=10   pass established
    > R seq=900000000                  out-of-window established`,
    { liberal: true },
  );
});

describe('RST', () => {
  conversation(
    'at the expected sequence it closes',
    `${handshake}
    < A seq=301 ack=101  pass established
    > R seq=101          pass close
    wait 10              -`,
  );
  conversation(
    'below what was acknowledged it is invalid',
    `${handshake}
    > A seq=101 ack=301 len=100  pass established
    < A seq=301 ack=201          pass established
    > R seq=150                  out-of-window established`,
  );
  conversation(
    'in window but not exact it keeps the flow for the challenge ACK, for ten seconds',
    `${handshake}
    < A seq=301 ack=101  pass established
    > R seq=1101         pass established
    wait 10              -`,
  );
  conversation(
    'an answer to the challenge keeps the connection',
    `${handshake}
    < A seq=301 ack=101  pass established
    > R seq=1101         pass established
    < A seq=301 ack=101  pass established
    > A seq=101 ack=301  pass established
    wait 200             established`,
  );
  conversation(
    'behind the last data of its side it closes',
    `${handshake}
    < A seq=301 ack=101         pass established
    > A seq=101 ack=301 len=50  pass established
    > R seq=151                 pass close`,
  );
  conversation(
    'from the server in SYN_SENT it counts only if it acknowledges the SYN',
    `> S  seq=100          pass syn_sent
    < R  seq=7000         pass syn_sent
    < R  seq=0            pass syn_sent
    < RA seq=7000 ack=90  pass syn_sent
    < RA seq=0 ack=0      pass syn_sent
    < SA seq=300 ack=101  pass syn_recv
    > A  seq=101 ack=301  pass established`,
  );
  conversation(
    'such a one does not keep a half-open flow alive, nor protect it',
    `> S  seq=100   pass syn_sent
    wait 60        syn_sent
    < R  seq=7000  pass syn_sent
    wait 60        -`,
  );
  conversation(
    'of the connection before, between the next SYN and its answer: the ports were used again at once',
    `${handshake}
    < A  seq=301 ack=101          pass established
    > RA seq=101 ack=301          pass close
    > A  seq=101 ack=301          pass close
    > S  seq=500000               pass syn_sent
    < R  seq=301                  pass syn_sent
    < PA seq=301 ack=101 len=10   pass syn_sent
    < SA seq=900000 ack=500001    pass syn_recv
    > A  seq=500001 ack=900001    pass established
    > PA seq=500001 ack=900001 len=6 pass established`,
  );
  conversation(
    'the server gives up the connection before just as the client begins the next',
    `${handshake}
    < A  seq=301 ack=101          pass established
    > S  seq=500000               pass established
    < R  seq=301                  pass close
    < SA seq=900000 ack=500001    pass syn_recv
    > A  seq=500001 ack=900001    pass established`,
  );
  conversation(
    'takes a simultaneous open back: the next SYN opens a connection',
    `> S  seq=100          pass syn_sent
    < S  seq=300           pass syn_sent2
    > RA seq=101 ack=301   pass close
    > S  seq=9000          pass syn_sent`,
  );
  conversation(
    'that refuses the next SYN: a SYN+ACK behind it answers nothing',
    `${handshake}
    < A  seq=301 ack=101          pass established
    > S  seq=500000               pass established
    < RA seq=0 ack=500001         pass close
    < SA seq=900000 ack=500001    pass close
    > A  seq=500001 ack=900001    out-of-window close`,
  );
  conversation(
    'beyond the window it is dropped',
    `${handshake}
    < A seq=301 ack=101  pass established
    > R seq=90000        out-of-window established`,
  );
});

describe('a SYN that is not answered, and then another one', () => {
  conversation(
    'with a lower number starts the connection again',
    `> S  seq=1000000000 ws=7 sackok   pass syn_sent
    > S  seq=1000                     pass syn_sent
    < SA seq=500 ack=1001 ws=3        pass syn_recv
    > A  seq=1001 ack=501             pass established
    > A  seq=1001 ack=501 len=3       pass established
    < A  seq=501 ack=1004 len=5       pass established`,
  );
  conversation(
    'the earlier one may still be answered, with what it has offered',
    `> S  seq=1000000000 win=4000 ws=7   pass syn_sent
    > S  seq=1000 win=4000              pass syn_sent
    < SA seq=500 ack=1000000001 ws=2    pass syn_recv
    > A  seq=1000000001 ack=501         pass established
    < A  seq=501 ack=1000000001 len=1400   pass established
    > A  seq=1000000001 ack=1901 win=1000  pass established
    # 128,000 bytes: the window is scaled by 7.
    < A  seq=120000 ack=1000000001 len=1400 pass established`,
  );
  conversation(
    'an answer to neither is out of place',
    `> S  seq=1000000000            pass syn_sent
    > S  seq=1000                  pass syn_sent
    < SA seq=500 ack=500000001     out-of-window syn_sent`,
  );
  conversation(
    'the earlier one may come again',
    `> S  seq=1000000000         pass syn_sent
    > S  seq=1000               pass syn_sent
    > S  seq=1000000000         pass syn_sent
    < SA seq=500 ack=1000000001 pass syn_recv
    > A  seq=1000000001 ack=501 pass established`,
  );
  conversation(
    'after the answer a lower number does not start it again',
    `${handshake}
    > S  seq=7                  pass established
    > A  seq=101 ack=301        pass established`,
  );
});

describe('timeouts', () => {
  conversation(
    'a quiet connection lasts five days',
    `${handshake}
    < A seq=301 ack=101  pass established
    wait 431999          established
    wait 1               -`,
  );
  conversation(
    'unacknowledged data shortens it to five minutes',
    `${handshake}
    > A seq=101 ack=301 len=100  pass established
    wait 299                     established
    wait 1                       -`,
  );
  conversation(
    'a half-closed connection may be silent for four minutes',
    `${handshake}
    < A  seq=301 ack=101          pass established
    > FA seq=101 ack=301          pass fin_wait
    < A  seq=301 ack=102          pass close_wait
    wait 239                      close_wait
    < A  seq=301 ack=102 len=100  pass close_wait
    wait 239                      close_wait
    wait 1                        -`,
  );
  conversation(
    'so do three retransmissions of the same ACK',
    `${handshake}
    < A seq=301 ack=101  pass established
    > A seq=101 ack=301  pass established
    > A seq=101 ack=301  pass established
    > A seq=101 ack=301  pass established
    > A seq=101 ack=301  pass established
    wait 300             -`,
  );
  conversation(
    'they are configurable',
    `> S seq=1 pass syn_sent
    wait 5 -`,
    { timeouts: { tcpSynSent: 5 } },
  );
});

it('counts packets and bytes of both directions', () => {
  const fixture = new EngineFixture({ policy: inboundPolicy() });
  play(
    fixture,
    `${handshake}
    > A seq=101 ack=301 len=60  pass established`,
  );
  const [flow] = fixture.check();
  const cold = fixture.engine.table.cold;
  const record = flow! * coldWords;
  expect([cold[record + Cold.packets], cold[record + Cold.packets + 1]]).toEqual([3, 1]);
  expect([cold[record + Cold.bytes], cold[record + Cold.bytes + 1]]).toEqual([44 + 40 + 100, 44]);
  expect(tcpStateOf(fixture)).toBe('established');
});
