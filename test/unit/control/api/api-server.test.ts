/** What the HTTP server tells: health, and metrics by the names that dashboards rely on. */
import { describe, expect, it } from 'vitest';
import type { Api } from '../../../../src/control/api/api.ts';
import type { ApiContext, ControlPlane, Health } from '../../../../src/control/api/context.ts';
import { buildApi } from '../../../../src/control/api/server.ts';
import { Counter } from '../../../../src/dataplane/engine/counters.ts';
import { createMetrics, type MetricsSource } from '../../../../src/control/metrics/metrics.ts';
import type { Store } from '../../../../src/control/store/store.ts';
import { DropReason, dropReasonNames } from '../../../../src/dataplane/wire/drop-reason.ts';
import { counters, metricsSource } from '../../../support/metrics-source.ts';

/** These routes look at nothing but health and metrics, and are everybody's. */
function api(
  health: Partial<Health> = {},
  gateway: ReturnType<MetricsSource['gateway']> = metricsSource.gateway(),
  more: Pick<ApiContext, 'opened'> = {},
): Promise<Api> {
  const metrics = createMetrics({ ...metricsSource, gateway: () => gateway });
  const controlPlane = {
    health: () => ({ healthy: true, epoch: 7, reloadError: null, ...health }),
  } as unknown as ControlPlane;
  const store = {} as Store;
  const context = { store, controlPlane, metrics, hosts: [], onWarning: () => undefined, ...more };
  return buildApi(context, { listener: 'tcp' });
}

describe('/healthz', () => {
  it('is 200 while packets are judged, also when a reload was refused', async () => {
    const reply = await (await api({ reloadError: 'web.yaml:1:1: no' })).inject('/healthz');
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toEqual({
      status: 'degraded',
      epoch: 7,
      reloadError: 'web.yaml:1:1: no',
    });
  });

  it('is degraded, too, while edits of files are not seen', async () => {
    const watchError = '/etc/tunwall: EMFILE: too many open files';
    const reply = await (await api({ watchError })).inject('/healthz');
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toEqual({ status: 'degraded', epoch: 7, reloadError: null, watchError });
  });

  it('says that a shared store is away, by which the policy in force stays as good', async () => {
    const store = { name: 'etcd', endpoint: 'http://192.0.2.1', connected: false, revision: 3 };
    const away = { watchError: 'no majority', store };
    const reply = await (await api(away)).inject('/healthz');
    expect(reply.json()).toEqual({ status: 'ok', epoch: 7, reloadError: null, ...away });
  });

  it('is 503 when they are not', async () => {
    const reply = await (await api({ healthy: false })).inject('/healthz');
    expect(reply.statusCode).toBe(503);
    expect(reply.json()).toEqual({ status: 'failed', epoch: 7, reloadError: null });
  });
});

it('answers nobody before the firewall says so', async () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const server = await api({}, undefined, { opened });
  let isOpen = false;
  const answers = ['/healthz', '/'].map(async (url) => {
    const { statusCode } = await server.inject({ url, headers: { host: 'localhost' } });
    return [isOpen, statusCode];
  });
  // A request that is answered at once would be by now.
  const other = await (await api()).inject('/healthz');
  expect(other.statusCode).toBe(200);
  isOpen = true;
  open();
  expect(await Promise.all(answers)).toEqual([
    [true, 200],
    [true, 200],
  ]);
});

it('says how the gateway is, in health and in metrics', async () => {
  const gateway: Health['gateway'] = {
    state: 'degraded',
    problems: [{ what: 'rule 20', wanted: 'from all lookup 100', found: 'missing' }],
    watch: 'absent',
  };
  // Counts that only `gateway watch` knows are absent, not zero.
  const unknown = { state: 'degraded', bypassPackets: undefined, repairs: undefined } as const;
  const server = await api({ gateway }, unknown);
  const reply = await server.inject('/healthz');
  expect(reply.statusCode).toBe(200);
  expect(reply.json()).toEqual({ status: 'ok', epoch: 7, reloadError: null, gateway });
  const { body } = await server.inject('/metrics');
  const samples = body.split('\n').filter((line) => line.startsWith('tunwall_gateway_'));
  expect(samples).toEqual([
    'tunwall_gateway_state{state="ok"} 0',
    'tunwall_gateway_state{state="degraded"} 1',
    'tunwall_gateway_state{state="down"} 0',
  ]);
});

describe('/metrics', () => {
  it('has every name, in the format of Prometheus', async () => {
    const reply = await (await api()).inject('/metrics');
    expect(reply.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const name of [
      'packets_total',
      'bytes_total',
      'drops_total',
      'flows',
      'flow_capacity',
      'flow_evictions_total',
      'flows_opened_total',
      'flows_cut_total',
      'flow_refusals_total',
      'flow_occupancy_ratio',
      'flow_timeout_factor',
      'fragment_datagrams',
      'fragment_bytes',
      'fragment_bytes_limit',
      'policy_sweep_remaining',
      'policy_epoch',
      'policy_rules',
      'policy_reload_failures_total',
      'tun_tx_dropped_total',
      'api_connections_refused_total',
      'api_listen_failures_total',
      'api_requests_aborted_total',
      'gateway_state',
      'gateway_bypass_packets_total',
      'gateway_repairs_total',
    ]) {
      expect(reply.body).toMatch(new RegExp(`^# HELP tunwall_${name} .+\\.$`, 'm'));
      expect(reply.body).toMatch(new RegExp(`^tunwall_${name}(\\{.+\\})? [\\d.]+$`, 'm'));
    }
    expect(reply.body).toContain(
      'tunwall_packets_total{direction="inbound",protocol="tcp",verdict="pass"} 0',
    );
  });

  it('counts drops under every reason there is', async () => {
    counters.fill(0);
    dropReasonNames.forEach((_, reason) => (counters[Counter.drops + reason] = 100 + reason));
    // The device counts what it refuses by itself.
    counters[Counter.writeFailures] = 100 + DropReason.writeFailed;
    const { body } = await (await api()).inject('/metrics');
    dropReasonNames.forEach((name, reason) => {
      // What would be dropped passes.
      if (reason === DropReason.none || reason === DropReason.wouldDrop) return;
      expect(body.includes(`tunwall_drops_total{reason="${name}"} ${100 + reason}\n`), name).toBe(
        true,
      );
    });
  });
});

it('shows how full flow table and fragment memory are, and what that has done', async () => {
  counters.fill(0);
  counters[Counter.drops + DropReason.tableFull] = 17;
  counters[Counter.drops + DropReason.serverShare] = 18;
  counters.set([1, 2, 3, 4], Counter.evictions);
  const { body } = await (await api()).inject('/metrics');
  for (const line of [
    'flow_capacity 1024',
    'flow_occupancy_ratio 0.25',
    'flow_timeout_factor 0.5',
    'flow_refusals_total{reason="table-full"} 17',
    'flow_refusals_total{reason="server-share"} 18',
    'flow_evictions_total{class="expired"} 1',
    'flow_evictions_total{class="unanswered"} 2',
    'flow_evictions_total{class="closing"} 3',
    'flow_evictions_total{class="established"} 4',
    'fragment_datagrams 3',
    'fragment_bytes 8192',
    'fragment_bytes_limit 131072',
    'policy_sweep_remaining 12',
  ]) {
    expect(body.includes(`tunwall_${line}\n`), line).toBe(true);
  }
});

it('what is not there is 404', async () => {
  expect((await (await api()).inject('/etc/passwd')).statusCode).toBe(404);
});
