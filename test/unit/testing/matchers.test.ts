/** What a failure says: what `explain` says. */
import { expect, test } from 'vitest';
import { createFirewall, fragments, matchers, tcp, udp } from '../../../src/testing/index.ts';
import type { MatcherResult } from '../../../src/testing/index.ts';

const fw = createFirewall({
  templates: {
    web: {
      inbound: [
        { protocol: 'tcp', ports: 443, comment: 'HTTPS' },
        { protocol: 'udp', ports: 53 },
      ],
    },
  },
  servers: [{ name: 'web-1', addresses: ['10.0.0.2'], templates: ['web'] }],
});
const client = '198.51.100.2';
const failureOf = ({ pass, message }: MatcherResult): string => {
  expect(pass).toBe(false);
  return message();
};

test('a drop that should have passed: the nearest rule, and what of it fails', () => {
  const outcome = fw.send(tcp(`${client}:40000`, '10.0.0.2:80').syn());
  expect(failureOf(matchers.toPass(outcome))).toBe(
    [
      'expected a pass, but it was dropped: no-inbound-rule',
      '',
      'DROP  tcp 198.51.100.2:40000 -> 10.0.0.2:80 flags S',
      '  no-inbound-rule: no inbound rule of the destination server allows it',
      '',
      'inbound of server web-1: none of 2 rules allows it',
      '  nearest: TCP: 443 from any',
      '  template web, templates/web.yaml: inbound[0] (HTTPS)',
      '  ports: the rule has 443, the packet 80',
    ].join('\n'),
  );
});

test('a pass that should have been dropped: the rule that allows it', () => {
  const outcome = fw.send(tcp(`${client}:40000`, '10.0.0.2:443').syn());
  expect(failureOf(matchers.toDrop(outcome, 'no-inbound-rule'))).toBe(
    [
      'expected a drop as no-inbound-rule, but it was passed',
      '',
      'PASS  tcp 198.51.100.2:40000 -> 10.0.0.2:443 flags S',
      '',
      'inbound of server web-1: allowed by TCP: 443 from any',
      '  template web, templates/web.yaml: inbound[0] (HTTPS)',
    ].join('\n'),
  );
});

test('one packet of several, and a flow that decides', () => {
  const connection = tcp(`${client}:40001`, '10.0.0.2:443');
  const outcome = fw.send([
    ...connection.handshake(),
    connection.segment({ flags: 'A', seq: 2_000_000_000, payload: 1 }),
  ]);
  const failure = failureOf(matchers.toPass(outcome));
  expect(failure).toContain('packet 4 of 4:\nDROP  tcp 198.51.100.2:40001 -> 10.0.0.2:443 flags A');
  expect(failure).toContain('out-of-window: the TCP sequence numbers are outside');
  expect(failure).toContain('a live flow decides');
});

test('another reason than the expected one, and no drop at all', () => {
  const outcome = fw.send(udp(`${client}:1`, '192.0.2.7:53').data());
  expect(matchers.toDrop(outcome).pass).toBe(true);
  expect(failureOf(matchers.toDrop(outcome, 'no-inbound-rule'))).toContain('dropped: no-server');
  expect(matchers.toDrop(outcome).message()).toContain('expected no drop');
});

test('fragments: a datagram that waits, and one that is refused as a whole', () => {
  const parts = fragments(udp(`${client}:1`, '10.0.0.2:54').data(1000));
  const first = fw.send(parts[0]!);
  expect(failureOf(matchers.toPass(first))).toContain('expected a pass, but it was held');
  expect(matchers.toBeHeld(first).pass).toBe(true);
  const refused = failureOf(matchers.toPass(fw.send(parts[1]!)));
  expect(refused).toContain('no-inbound-rule');
  expect(refused).not.toContain('flow');
});

test('something that send has not returned', () => {
  expect(() => matchers.toPass('pass')).toThrow('expected what fw.send(…) returns');
});
