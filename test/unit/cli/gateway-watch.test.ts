/** `tunwall gateway watch`: what it logs, and tells the supervisor. */
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { gatewayCommand } from '../../../src/cli/gateway-command.ts';
import { GatewayError } from '../../../src/host/gateway.ts';
import type { WatchEvent, WatchOptions } from '../../../src/host/watch.ts';
import { runCli, unwatched, type Ran } from '../../support/cli.ts';

const at = '2030-01-31T12:00:00Z';
const repair = { at, what: 'rule 20', wanted: 'from all lookup 100', found: 'missing', times: 2 };
const problem = { ...repair, kind: 'rule', repairable: true } as const;

interface Watched {
  readonly ran: Ran;
  readonly lines: Record<string, unknown>[];
  readonly told: [boolean, string][];
  readonly options: WatchOptions[];
  readonly asJson: boolean[];
}

async function watch(events: readonly WatchEvent[], ...args: string[]): Promise<Watched> {
  const lines: Record<string, unknown>[] = [];
  const told: [boolean, string][] = [];
  const options: WatchOptions[] = [];
  const asJson: boolean[] = [];
  const sink = { write: (text: string) => lines.push(JSON.parse(text) as (typeof lines)[number]) };
  const asked = (): Promise<never> => Promise.reject(new Error('not asked'));
  const command = gatewayCommand({
    ...{ up: asked, down: asked, status: asked },
    configured: (directory) =>
      Promise.resolve({
        ...{ device: `of-${directory}`, txQueueLength: 1, fastPath: 'off', flowCapacity: 1024 },
      }),
    watch: {
      ...unwatched,
      watch: (given) => {
        options.push(given);
        for (const event of events) given.onEvent(event);
        if (events.length > 0) return Promise.resolve();
        return Promise.reject(new GatewayError('the gateway is not up', 'tunwall gateway up'));
      },
      createLogger: (json) => {
        asJson.push(json);
        return Promise.resolve(pino({ base: null, timestamp: false }, sink));
      },
      notify: (...said) => Promise.resolve(void told.push(said)),
    },
  });
  const ran = await runCli([command], ['gateway', 'watch', ...args]);
  return { ran, lines, told, options, asJson };
}

describe('gateway watch', () => {
  it('logs each event in a line, and tells the supervisor when it is ready and how it is', async () => {
    const { ran, lines, told, asJson } = await watch([
      { kind: 'problems', problems: [problem] },
      { kind: 'started', device: 'fw0' },
      { kind: 'repaired', repairs: [repair] },
      { kind: 'problems', problems: [] },
      { kind: 'failed', message: 'no' },
      { kind: 'ended', why: 'it was asked to stop' },
    ]);
    expect(ran).toEqual({ code: 0, out: '', err: '' });
    expect(lines).toEqual([
      { level: 40, problems: [problem], msg: 'the gateway is degraded' },
      { level: 30, device: 'fw0', reportOnly: false, msg: 'the gateway is watched' },
      { level: 40, repairs: [repair], msg: 'repaired' },
      { level: 30, msg: 'the gateway is as it should be' },
      { level: 50, msg: 'no' },
      { level: 30, msg: 'the watch has ended: it was asked to stop' },
    ]);
    expect(told).toEqual([
      [false, 'degraded: rule 20'],
      [true, 'watches the gateway on fw0'],
      [false, 'ok'],
    ]);
    expect(asJson).toEqual([false]);
  });

  it('names twenty things in a line, and counts the others', async () => {
    const repairs = Array.from({ length: 23 }, (_, n) => ({ ...repair, what: `net.${n}` }));
    const { lines } = await watch([{ kind: 'repaired', repairs }]);
    expect(lines).toEqual([{ level: 40, repairs: repairs.slice(0, 20), more: 3, msg: 'repaired' }]);
  });

  it('hands on what was asked for', async () => {
    const ended: WatchEvent = { kind: 'ended', why: 'enough' };
    const { options, asJson } = await watch([ended], '--report-only', '--json', '--device', 'x');
    expect(options).toMatchObject([{ device: 'x', reportOnly: true }]);
    expect(asJson).toEqual([true]);
    expect((await watch([ended], '--config', 'd')).options).toMatchObject([
      { device: 'of-d', reportOnly: false },
    ]);
  });

  it('says in two lines why it does not begin', async () => {
    const { ran } = await watch([]);
    expect(ran.code).toBe(1);
    expect(ran.err).toBe('tunwall: the gateway is not up\n  tunwall gateway up\n');
  });
});
