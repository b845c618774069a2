/**
 * Where traffic goes once the gateway is up. The firewall process is not running here: what reaches the TUN is
 * dropped, so whatever reaches the server has leaked.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  GatewayNamespaces,
  otherServerAddress,
  serverAddress,
  type Result,
} from '../support/gateway-namespaces.ts';

let net: GatewayNamespaces;

beforeEach(async () => {
  net = await GatewayNamespaces.create();
});

afterEach(async () => {
  await net.remove();
});

describe('traffic', () => {
  /** A ping that must not reach the server; gives how many packets went into the TUN instead. */
  function pingInVain(...options: string[]): number {
    const [echoes, packets] = [net.serverEchoRequests(), net.packetsIntoTun()];
    expect(net.ping('client', serverAddress, ...options)).toBe(false);
    expect(net.serverEchoRequests()).toBe(echoes);
    return net.packetsIntoTun() - packets;
  }

  test('is diverted from every interface, and the gateway itself stays reachable', () => {
    net.sysctl('ipv4/ip_forward', '1');
    expect(net.ping('client', serverAddress)).toBe(true);

    net.up();
    expect(pingInVain()).toBeGreaterThan(0);
    expect(net.ping('client', '198.51.100.1')).toBe(true);
    expect(net.ping('gateway', serverAddress)).toBe(true);

    net.connect('client', 'late0', '192.0.2.1/24', '192.0.2.2/24');
    net.must('client', 'ip', 'route', 'add', `${serverAddress}/32`, 'via', '192.0.2.1');
    expect(pingInVain('-I', '192.0.2.2')).toBeGreaterThan(0);

    expect(net.down().stderr).toContain('it forwards again, unfiltered');
    expect(net.ping('client', serverAddress)).toBe(true);
  });

  test('is unreachable, not leaked, when the device or its link is gone', () => {
    net.up();
    for (const argv of [
      ['link', 'set', 'fw0', 'down'],
      ['link', 'delete', 'fw0'],
    ]) {
      net.must('gateway', 'ip', ...argv);
      const echoes = net.serverEchoRequests();
      const { stdout } = net.run('client', 'ping', '-n', '-c', '1', '-W', '1', serverAddress);
      expect(stdout).toContain('From 198.51.100.1 icmp_seq=1 Destination Host Unreachable');
      expect(net.serverEchoRequests()).toBe(echoes);
      net.up();
      expect(pingInVain()).toBeGreaterThan(0);
    }
  });

  test('that was judged goes by main, or nowhere: never into the TUN again', () => {
    net.up();
    const route = (target: string): Result =>
      net.run('gateway', 'ip', 'route', 'get', target, 'from', '198.51.100.2', 'iif', 'fw0');
    expect(route(serverAddress).stdout).toContain('dev server');
    expect(route('203.0.113.9')).toMatchObject({ code: 2 });
    expect(route('203.0.113.9').stderr).toContain('Network is unreachable');
  });

  test('with the server’s own source from the client’s side stops at the reverse-path filter', () => {
    net.up();
    net.must('client', 'ip', 'address', 'add', `${serverAddress}/32`, 'dev', 'lo');
    // An ARP request with the forged sender would not be answered either: resolve it before.
    expect(net.ping('client', '198.51.100.1')).toBe(true);
    const forge = (): { drops: number; packets: number } => {
      const [drops, packets] = [net.reversePathDrops(), net.packetsIntoTun()];
      expect(net.ping('client', otherServerAddress, '-I', serverAddress)).toBe(false);
      return { drops: net.reversePathDrops() - drops, packets: net.packetsIntoTun() - packets };
    };
    expect(forge()).toEqual({ drops: 1, packets: 0 });
    net.sysctl('ipv4/conf/client/rp_filter', '0');
    expect(forge()).toEqual({ drops: 0, packets: 1 });
  });
});
