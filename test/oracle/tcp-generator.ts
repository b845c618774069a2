/** TCP conversations: whole lives of connections, and walks that leave the path near the edges of the window check. */
import type { Changes, End, Step } from './conversation.ts';
import { otherEnd } from './conversation.ts';
import type { Random } from './random.ts';
import { TcpTalk, sackBlocks, wrap } from './tcp-talk.ts';

const ends: readonly End[] = ['opener', 'responder'];

function open(talk: TcpTalk, random: Random): void {
  const way = random.weighted([
    [16, 'three-way'],
    [2, 'simultaneous'],
    [1, 'retried'],
    [1, 'half-open'],
    [1, 'refused'],
  ] as const);
  const syn = talk.send(
    'opener',
    random.chance(0.2) ? random.pick(['SEC', 'SE', 'SP', 'SU']) : 'S',
  );
  if (way === 'simultaneous') {
    const { seq } = talk.send('responder', 'S').base;
    const [first, second] = random.chance(0.5) ? ends : [...ends].reverse();
    talk.stray(first!, 'SA', {
      seq: first === 'opener' ? syn.base.seq : seq,
      options: syn.base.options,
    });
    if (random.chance(0.8)) {
      talk.stray(second!, 'SA', { seq: second === 'opener' ? syn.base.seq : seq, options: [] });
    }
    if (random.chance(0.8)) talk.send('opener', 'A');
    if (random.chance(0.5)) talk.send('responder', 'A');
    return;
  }
  if (way === 'refused') {
    talk.stray('responder', random.pick(['RA', 'R']), {
      seq: random.pick([0, talk.sides.responder.next]),
    });
    return;
  }
  if (way === 'half-open') {
    // An old connection of the same ports: a challenge ACK, which an RST answers, and then the SYN again.
    const stale = random.word();
    talk.stray('responder', 'A', { seq: random.word(), ack: stale });
    talk.stray('opener', 'R', { seq: random.chance(0.7) ? stale : random.word() });
    if (random.chance(0.7)) talk.repeat(syn);
  }
  if (way === 'retried') talk.repeat(syn);
  const answer = talk.send('responder', 'SA');
  if (way === 'retried') talk.repeat(answer);
  if (random.chance(0.97)) talk.send('opener', 'A');
}

function lengthOf(random: Random): number {
  return random.weighted([
    [3, () => 0],
    [4, () => random.int(1, 100)],
    [2, () => random.int(500, 1460)],
  ] as const)();
}

function exchange(talk: TcpTalk, random: Random): void {
  const from = random.pick(ends);
  const other = otherEnd(from);
  const what = random.weighted([
    [8, 'data'],
    [4, 'ack'],
    [2, 'window'],
    [2, 'sack'],
    [1, 'keepalive'],
    [1, 'probe'],
    [1, 'retransmit'],
    [1, 'duplicate-acks'],
    [1, 'lost'],
    [1, 'urgent'],
  ] as const);
  const own = talk.sides[from];
  const peer = talk.sides[other];
  switch (what) {
    case 'data':
      talk.send(from, random.pick(['PA', 'A', 'PAE', 'AC']), { length: lengthOf(random) });
      break;
    case 'ack':
      talk.send(from, 'A');
      break;
    case 'window':
      own.window = random.pick([0, 1, random.int(1, 65_535), 65_535]);
      talk.send(from, 'A');
      break;
    case 'sack': {
      const hole = random.int(1, 500);
      const length = random.int(1, 1000);
      const left = wrap(peer.next + hole);
      talk.send(other, 'A', { seq: left, length });
      talk.stray(from, 'A', {
        ack: wrap(left - hole),
        options: sackBlocks(left, wrap(left + length)),
      });
      if (random.chance(0.7)) talk.stray(other, 'A', { seq: wrap(left - hole), length: hole });
      talk.send(from, 'A');
      break;
    }
    case 'keepalive':
      talk.stray(from, 'A', { seq: wrap(own.next - 1), length: random.int(0, 1) });
      talk.send(other, 'A');
      break;
    case 'probe':
      peer.window = 0;
      talk.send(other, 'A');
      talk.stray(from, 'A', { length: 1 });
      talk.send(other, 'A');
      peer.window = 8192;
      talk.send(other, 'A');
      break;
    case 'retransmit': {
      const step = talk.send(from, 'PA', { length: random.int(1, 1000) });
      for (let times = random.int(1, 5); times > 0; times--) talk.repeat(step);
      break;
    }
    case 'duplicate-acks': {
      const step = talk.send(from, 'A');
      for (let times = random.int(1, 5); times > 0; times--) talk.repeat(step);
      break;
    }
    case 'lost':
      own.next = wrap(own.next + random.int(1, 3000));
      break;
    case 'urgent':
      talk.send(from, 'PAU', { length: random.int(1, 10) });
  }
}

function close(talk: TcpTalk, random: Random): void {
  const from = random.pick(ends);
  const other = otherEnd(from);
  const way = random.weighted([
    [6, 'fin'],
    [2, 'both'],
    [2, 'half'],
    [4, 'reset'],
  ] as const);
  if (way === 'reset') {
    talk.stray(from, random.pick(['R', 'RA']));
    if (random.chance(0.3)) talk.send(other, 'A');
    if (random.chance(0.2)) talk.stray(other, 'R');
    return;
  }
  const fin = talk.send(from, random.pick(['FA', 'FPA', 'FAU']), {
    length: random.chance(0.2) ? 10 : 0,
  });
  if (way === 'both') {
    talk.send(other, 'FA', { ack: fin.base.seq });
    talk.send(from, 'A');
    talk.send(other, 'A');
    return;
  }
  if (random.chance(0.7)) talk.send(other, 'A');
  if (way === 'half') {
    for (let times = random.int(1, 3); times > 0; times--) {
      talk.send(other, 'PA', { length: random.int(1, 300) });
      talk.send(from, 'A');
    }
  }
  if (random.chance(0.9)) talk.send(other, 'FA');
  if (random.chance(0.9)) talk.send(from, 'A');
}

/** A connection from its first to its last segment; sometimes the same ports again, in whatever state the first is left. */
export function tcpLife(random: Random): Step[] {
  const talk = new TcpTalk(random);
  open(talk, random);
  for (let times = random.int(0, 6); times > 0; times--) exchange(talk, random);
  if (random.chance(0.8)) close(talk, random);
  if (random.chance(0.3)) {
    talk.restart();
    open(talk, random);
    if (random.chance(0.5)) exchange(talk, random);
  }
  return talk.steps;
}

/** A challenge ACK and what follows on it: a SYN out of place in every state (RFC 5961 section 4). */
export function tcpChallenge(random: Random): Step[] {
  const talk = new TcpTalk(random);
  open(talk, random);
  if (random.chance(0.5)) exchange(talk, random);
  if (random.chance(0.6)) close(talk, random);
  talk.steps.length = random.int(Math.min(2, talk.steps.length), talk.steps.length);
  const from = random.weighted([
    [4, 'opener'],
    [1, 'responder'],
  ] as const);
  const other = otherEnd(from);
  const old = { ...talk.sides[other] };
  const oldNext = talk.sides[from].next;
  if (random.chance(0.7)) talk.restart();
  const syn = talk.send(from, 'S');
  const follow = random.weighted([
    [3, 'challenge'],
    [3, 'answer'],
    [1, 'reset'],
  ] as const);
  if (follow === 'challenge') {
    talk.stray(other, 'A', { seq: old.next, ack: oldNext });
    talk.stray(from, 'R', { seq: oldNext });
    if (random.chance(0.6)) {
      talk.repeat(syn);
      talk.send(other, 'SA');
      talk.send(from, 'A');
    }
  } else if (follow === 'answer') {
    talk.send(other, 'SA', random.chance(0.2) ? { ack: talk.nearEdge(other, 'ack') } : {});
    talk.send(from, 'A');
    exchange(talk, random);
  } else {
    talk.stray(other, 'RA', { seq: random.pick([0, old.next]), ack: wrap(syn.base.seq + 1) });
  }
  for (let times = random.int(0, 2); times > 0; times--) exchange(talk, random);
  return talk.steps;
}

const walkFlags = [
  [10, 'A'],
  [4, 'PA'],
  [4, 'S'],
  [4, 'SA'],
  [4, 'FA'],
  [4, 'R'],
  [3, 'RA'],
  [1, 'AU'],
  [1, 'SU'],
  [1, 'F'],
  [1, ''],
  [1, 'SF'],
  [1, 'SR'],
] as const;

/** Segments of any kind, in any state, with numbers near the edges. */
export function tcpWalk(random: Random): Step[] {
  const talk = new TcpTalk(random);
  if (random.chance(0.9)) {
    open(talk, random);
    for (let times = random.int(0, 3); times > 0; times--) exchange(talk, random);
    if (random.chance(0.3)) close(talk, random);
    if (random.chance(0.3)) talk.steps.length = random.int(1, talk.steps.length);
  }
  for (let times = random.int(1, 12); times > 0; times--) {
    const from = random.pick(ends);
    const flags = random.weighted(walkFlags);
    const wild: Changes = {
      ...(random.chance(0.6) && { seq: talk.nearEdge(from, 'seq') }),
      ...(random.chance(0.5) && { ack: random.chance(0.1) ? 0 : talk.nearEdge(from, 'ack') }),
      ...(random.chance(0.2) && { win: random.pick([0, 1, random.int(0, 65_535), 65_535]) }),
      ...(random.chance(0.3) && { length: lengthOf(random) }),
      ...(random.chance(0.1) && {
        options: sackBlocks(talk.nearEdge(from, 'ack'), talk.nearEdge(from, 'ack')),
      }),
    };
    if (random.chance(0.15) && talk.steps.length > 0) talk.repeat(random.pick(talk.steps));
    else if (random.chance(0.5)) talk.send(from, flags, wild);
    else talk.stray(from, flags, wild);
  }
  return talk.steps;
}
