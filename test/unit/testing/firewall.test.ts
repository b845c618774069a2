/** The firewall in memory: what a user's test can do with it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, test } from 'vitest';
import {
  FirewallConfigError,
  createFirewall,
  fragments,
  icmpError,
  ping,
  tcp,
  udp,
} from '../../../src/testing/index.ts';
import type { FirewallOptions } from '../../../src/testing/index.ts';
import '../../../src/testing/vitest.ts';

const client = '198.51.100.2';
const web = '10.0.0.2';
const policy: FirewallOptions = {
  templates: {
    web: {
      inbound: [
        { protocol: 'tcp', ports: 443 },
        { protocol: 'udp', ports: [53], sources: 'set:office' },
        { protocol: 'icmp' },
      ],
    },
  },
  sets: { office: { addresses: ['198.51.100.0/24'] } },
  servers: [{ name: 'web-1', addresses: [web], templates: ['web'] }],
};

describe('conversations', () => {
  test('a connection, from its handshake to its end', () => {
    const fw = createFirewall(policy);
    const conversation = tcp(`${client}:40000`, `${web}:443`, { windowScale: 7 });
    expect(fw.send(conversation.handshake())).toPass();
    expect(fw.send(conversation.data('GET / HTTP/1.1\r\n\r\n'))).toPass();
    expect(fw.send(conversation.reply.data(1000))).toPass();
    expect(fw.flows()).toMatchObject([
      {
        protocol: 'tcp',
        state: 'established',
        source: client,
        sourcePort: 40_000,
        destination: web,
        destinationPort: 443,
        destinationServer: 'web-1',
        original: { packets: 3 },
        reply: { packets: 2 },
      },
    ]);
    expect(fw.send(conversation.close())).toPass();
    expect(fw.flows()).toMatchObject([{ state: 'time_wait' }]);
  });

  test('a segment outside of the window, a stray one, and an RST', () => {
    const fw = createFirewall(policy);
    const conversation = tcp(`${client}:40000`, `${web}:443`);
    expect(fw.send(conversation.reply.data())).toDrop('invalid-state');
    expect(fw.send(conversation.handshake())).toPass();
    const far = conversation.segment({ flags: 'A', seq: 2_000_000_000, payload: 10 });
    expect(fw.send(far)).toDrop('out-of-window');
    expect(fw.send(conversation.data())).toPass();
    expect(fw.send(conversation.reply.rst())).toPass();
    expect(fw.flows()).toMatchObject([{ state: 'close' }]);
    fw.clock.advance('10 s');
    expect(fw.send(conversation.data())).toDrop('invalid-state');
  });

  test('datagrams, and an ICMP error about one', () => {
    const fw = createFirewall(policy);
    const question = udp(`${client}:5000`, `${web}:53`);
    expect(fw.send(icmpError(web, question.data()))).toDrop('icmp-error');
    const datagram = question.data('?');
    expect(fw.send(datagram)).toPass();
    expect(fw.send(question.reply.data('!'))).toPass();
    expect(fw.send(icmpError(web, datagram, 'port-unreachable'))).toPass();
    expect(fw.send(udp('192.0.2.1:5000', `${web}:53`).data())).toDrop('no-inbound-rule');
  });

  test('pings', () => {
    const fw = createFirewall(policy);
    const pings = ping(client, web);
    expect(fw.send(pings.answer())).toDrop('icmp-type');
    expect(fw.send([pings.request(), pings.answer(), pings.request(), pings.answer()])).toPass();
    expect(fw.send(ping(web, client).request())).toDrop('no-outbound-rule');
  });

  test('fragments wait for each other', () => {
    const fw = createFirewall(policy);
    const parts = fragments(udp(`${client}:5000`, `${web}:53`).data(1200), 480);
    expect(parts).toHaveLength(3);
    expect(fw.send(parts.slice(0, 2))).toBeHeld();
    const last = fw.send(parts[2]!);
    expect(last).toPass();
    expect(last.written).toEqual(parts);
    const refused = fragments(udp(`${client}:5000`, `${web}:54`).data(1200));
    expect(fw.send(refused)).toDrop('no-inbound-rule');
  });

  test('raw bytes, whatever they are', () => {
    const fw = createFirewall(policy);
    expect(fw.send(Uint8Array.of(0x60, 0, 0, 0))).toDrop('ipv6');
    expect(fw.send(new Uint8Array(3))).toDrop();
    expect(() => fw.send(new Uint8Array(70_000))).toThrow(/70000 bytes/);
  });

  test.each(['10.0.0.2', '10.0.0.256:1', '10.0.0.2:70000', 'web:443', ''])(
    'an end that is none: %j',
    (end) => {
      expect(() => tcp(`${client}:1`, end)).toThrow(TypeError);
      expect(() => udp(end, `${client}:1`)).toThrow(TypeError);
    },
  );
});

describe('the clock', () => {
  test('flows end when their time is over', () => {
    const fw = createFirewall(policy);
    const question = udp(`${client}:5000`, `${web}:53`);
    fw.send(question.data());
    fw.clock.advance('29 s');
    expect(fw.flows()).toMatchObject([{ protocol: 'udp', idleSeconds: 29, expiresSeconds: 1 }]);
    fw.clock.advance(1000);
    expect(fw.flows()).toEqual([]);
    expect(fw.send(question.reply.data())).toDrop('no-outbound-rule');
  });

  test('rules end at their moment', () => {
    const fw = createFirewall({
      ...policy,
      now: '2026-03-01T12:00:00Z',
      templates: {
        web: { inbound: [{ protocol: 'tcp', ports: 443, expires: '2026-03-01T13:00:00Z' }] },
      },
    });
    const connection = tcp(`${client}:1`, `${web}:443`);
    expect(fw.send(connection.handshake())).toPass();
    fw.clock.advance('59 min');
    expect(fw.send(connection.data())).toPass();
    fw.clock.advance('2 min');
    expect(fw.clock.now).toEqual(new Date('2026-03-01T13:01:00Z'));
    expect(fw.send(connection.data())).toDrop('policy-cut');
    const late = fw.send(tcp(`${client}:2`, `${web}:443`).syn());
    expect(late).toDrop('no-inbound-rule');
    expect(late.explanation()).toContain('the rule has ended at 2026-03-01T13:00:00Z');
  });

  test.each(['soon', -1, 1.5, '0s', NaN])('no length of time: %j', (time) => {
    expect(() => createFirewall().clock.advance(time)).toThrow(TypeError);
  });
});

describe('a change', () => {
  const closed: FirewallOptions = { templates: { web: {} } };

  test.each([
    ['cut', 'drop'],
    ['keep', 'pass'],
    [{ drain: 60 }, 'pass'],
  ] as const)('%j: a flow that is not allowed any more', (reload, verdict) => {
    const fw = createFirewall({ ...policy, gateway: { reload } });
    const connection = tcp(`${client}:40000`, `${web}:443`);
    fw.send(connection.handshake());
    fw.update(closed);
    expect(fw.send(connection.data()).verdict).toBe(verdict);
    expect(fw.send(tcp(`${client}:40001`, `${web}:443`).syn())).toDrop('no-inbound-rule');
    fw.clock.advance('2 min');
    const later = reload === 'keep' ? 'pass' : 'drop';
    expect(fw.send(connection.data()).verdict).toBe(later);
  });

  test('with errors changes nothing', () => {
    const fw = createFirewall(policy);
    expect(() => fw.update({ servers: [{ name: 'web-1', addresses: ['10.0.0'] }] })).toThrow(
      FirewallConfigError,
    );
    expect(() => fw.update({ gateway: { flows: { capacity: 4096 } } })).toThrow(
      /flows: takes effect/,
    );
    expect(fw.send(tcp(`${client}:1`, `${web}:443`).syn())).toPass();
  });

  test('of the servers alone leaves the templates', () => {
    const fw = createFirewall(policy);
    fw.update({ servers: [{ name: 'web-2', addresses: ['10.0.0.3'], templates: 'web' }] });
    expect(fw.send(tcp(`${client}:1`, '10.0.0.3:443').syn())).toPass();
    expect(fw.send(tcp(`${client}:1`, `${web}:443`).syn())).toDrop('no-server');
  });
});

test('a server that rejects answers', () => {
  const fw = createFirewall({ ...policy, gateway: { reject: { inbound: true } } });
  const refused = fw.send(tcp(`${client}:1`, `${web}:22`).syn());
  expect(refused).toDrop('no-inbound-rule');
  const [rst] = refused.written;
  expect(rst![9]).toBe(6);
  expect(rst![33]! & 4).toBe(4);
});

describe('the configuration', () => {
  let directory: string | undefined;
  afterEach(() => {
    if (directory !== undefined) rmSync(directory, { recursive: true });
    directory = undefined;
  });

  it('is read from a directory', () => {
    directory = mkdtempSync(join(tmpdir(), 'tunwall-testing-'));
    mkdirSync(join(directory, 'templates'));
    writeFileSync(
      join(directory, 'templates/web.yaml'),
      'inbound:\n  - { protocol: tcp, ports: [443] }\n',
    );
    writeFileSync(
      join(directory, 'servers.yaml'),
      `servers:\n  - { name: web-1, addresses: [${web}], templates: [web] }\n`,
    );
    const fw = createFirewall.fromDirectory(directory);
    expect(fw.send(tcp(`${client}:1`, `${web}:443`).syn())).toPass();
    const refused = fw.send(tcp(`${client}:1`, `${web}:22`).syn());
    expect(refused.explanation()).toContain(`${directory}/templates/web.yaml:2: inbound[0]`);
    fw.update({ templates: { web: { inbound: [{ protocol: 'all' }] } } });
    expect(fw.send(tcp(`${client}:1`, `${web}:22`).syn())).toPass();

    writeFileSync(join(directory, 'servers.yaml'), 'servers: [{ name: x }]\n');
    expect(() => createFirewall.fromDirectory(directory!)).toThrow(
      /servers\.yaml:1:\d+: .*addresses/,
    );
    expect(() => createFirewall.fromDirectory(join(directory!, 'none'))).toThrow(/does not exist/);
  });

  it('is refused with all of its errors', () => {
    const wrong = (): unknown =>
      createFirewall({
        templates: {
          web: {
            inbound: [
              { protocol: 'icmp', ports: 7 },
              { protocol: 'tcp', ports: 0 },
            ],
          },
        },
        servers: [{ name: 'web-1', addresses: [web], templates: ['wbe'] }],
      });
    expect(wrong).toThrow(/inbound\[0\][^\n]*only tcp and udp have ports/);
    expect(wrong).toThrow(/inbound\[1\]/);
    expect(wrong).toThrow(/wbe/);
    expect(() => createFirewall({ templates: { 'No name': {} } })).toThrow(
      /templates: No name: expected a name/,
    );
    expect(() => createFirewall({ now: 'soon' })).toThrow(TypeError);
  });
});

test('the same test twice gives the same', () => {
  const run = (): unknown => {
    const fw = createFirewall({ ...policy, seed: 7, gateway: { flows: { capacity: 1024 } } });
    const seen: unknown[] = [];
    for (let port = 1; port < 1500; port++) {
      const { verdict, reason } = fw.send(udp(`${client}:${port}`, `${web}:53`).data());
      seen.push([verdict, reason]);
      fw.clock.advance(7);
    }
    return [seen, fw.flows()];
  };
  expect(run()).toEqual(run());
});
