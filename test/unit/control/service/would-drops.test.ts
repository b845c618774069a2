/** What observed servers would drop: whose record it goes to, how long that lasts, its bounds, and the next process. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WouldDropsFile } from '../../../../src/control/service/would-drops-file.ts';
import {
  WouldDrops,
  keptInAll,
  keptOfServer,
} from '../../../../src/control/service/would-drops.ts';
import { EventWord } from '../../../../src/dataplane/engine/event-ring.ts';
import { DropReason } from '../../../../src/dataplane/wire/drop-reason.ts';
import { Protocol } from '../../../../src/dataplane/wire/headers.ts';
import { addressToInt } from '../../../../src/testing/packets.ts';

const beginMs = Date.UTC(2030, 0, 1);
const nameOf = (slot: number): string | undefined => (slot === 0 ? undefined : `s${slot}`);
const servers = new Set(Array.from({ length: 50 }, (_, index) => `s${index + 1}`));

interface Began {
  readonly from?: number;
  readonly to?: string;
  readonly port?: number;
  readonly protocol?: number;
  readonly reason?: number;
  /** Slots of source and destination. */
  readonly slots?: readonly [number, number];
}

class Recorder {
  readonly drops: WouldDrops = new WouldDrops({
    wallClockOf: (thenMs) => beginMs + thenMs,
    serverName: nameOf,
  });

  observe(...names: string[]): this {
    this.drops.onPolicy(servers, new Set(names), beginMs);
    return this;
  }

  add({ from = addressToInt('198.51.100.7'), slots = [0, 1], ...more }: Began = {}): this {
    const { to = '10.0.0.2', port = 22, protocol = Protocol.tcp } = more;
    const words = new Int32Array(16);
    words[EventWord.timeMs] = 1000;
    words[EventWord.reason] = more.reason ?? DropReason.wouldDrop;
    words[EventWord.srcAddr] = from;
    words[EventWord.dstAddr] = addressToInt(to);
    words[EventWord.ports] = (4000 << 16) | port;
    words[EventWord.protocol] = protocol;
    words[EventWord.servers] = (slots[0] << 16) | slots[1];
    this.drops.add(words);
    return this;
  }

  kinds(server: string): string[] {
    const { kinds = [] } = this.drops.of(server) ?? {};
    return kinds.map(
      ({ direction, protocol, peer, port, count }) =>
        `${count} ${direction} ${protocol} ${peer.toString(16)} ${port}`,
    );
  }
}

describe('a record', () => {
  it('has what began at its server, in both directions, and nothing else', () => {
    const recorder = new Recorder()
      .add()
      .observe('s1', 's2')
      .add()
      .add()
      .add({ reason: DropReason.noInboundRule })
      .add({ protocol: Protocol.icmp, port: 9 })
      .add({ slots: [1, 2] })
      .add({ slots: [2, 3] });
    expect(recorder.kinds('s1')).toEqual([
      '2 inbound tcp c6336407 22',
      '1 inbound icmp c6336407 0',
      '1 outbound tcp a000002 22',
    ]);
    expect(recorder.kinds('s2')).toEqual([
      '1 inbound tcp c6336407 22',
      '1 outbound tcp a000002 22',
    ]);
    expect(recorder.drops.of('s3')).toBeUndefined();
  });

  it('stays when the end has come, begins anew with the next observation, and goes with its server', () => {
    const recorder = new Recorder().observe('s1').add().observe('s1', 's2').add();
    recorder.observe('s2').add().drops.addMissed(3);
    expect(recorder.kinds('s1')).toEqual(['2 inbound tcp c6336407 22']);
    expect([recorder.drops.of('s1')?.lost, recorder.drops.of('s2')?.lost]).toEqual([0, 3]);
    recorder.observe('s1');
    expect(recorder.kinds('s1')).toEqual([]);
    recorder.drops.onPolicy(new Set(['s2']), new Set(), beginMs);
    expect(recorder.drops.of('s1')).toBeUndefined();
  });

  it('a flood takes the place of what is rare; what goes is counted', () => {
    const recorder = new Recorder().observe('s1').add({ from: -1 }).add({ from: -1 });
    for (let from = 0; from < keptOfServer; from++) recorder.add({ from });
    const record = recorder.drops.of('s1')!;
    expect(record.forgotten).toBe(keptOfServer / 2);
    expect(record.kinds.reduce((sum, { count }) => sum + count, record.forgotten)).toBe(
      keptOfServer + 2,
    );
    expect(recorder.kinds('s1')).toContain('2 inbound tcp ffffffff 22');
  });

  it('in all there are not more than so many', () => {
    const recorder = new Recorder().observe(...servers).add({ slots: [0, 50] });
    for (let slot = 1; slot < 50; slot++) {
      for (let from = 0; from < keptOfServer; from++) recorder.add({ from, slots: [0, slot] });
    }
    const records = [...servers].map((each) => recorder.drops.of(each)!);
    const kept = records.reduce((sum, { kinds }) => sum + kinds.length, 0);
    const forgotten = records.reduce((sum, each) => sum + each.forgotten, 0);
    expect(kept).toBeLessThanOrEqual(keptInAll);
    expect(kept + forgotten).toBe(49 * keptOfServer + 1);
    expect(recorder.kinds('s50')).toHaveLength(1);
  });
});

describe('the next process', () => {
  let directory: string;
  let warnings: string[];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tunwall-'));
    warnings = [];
  });
  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  const fileOf = ({ drops }: Recorder): WouldDropsFile =>
    new WouldDropsFile(directory, drops, (message) => warnings.push(message));

  it('goes on with it, but for a server that has begun anew', async () => {
    const before = new Recorder()
      .observe('s1', 's2')
      .add()
      .add({ slots: [1, 2] })
      .observe('s1');
    before.drops.addMissed(2);
    await fileOf(before).write();
    const next = new Recorder();
    await fileOf(next).read();
    expect(next.drops.of('s1')).toEqual(before.drops.of('s1'));
    expect(next.observe('s1', 's2').kinds('s1')).toEqual(before.kinds('s1'));
    expect(next.kinds('s2')).toEqual([]);
    expect(next.add().kinds('s1')[0]).toBe('2 inbound tcp c6336407 22');
    expect(warnings).toEqual([]);
  });

  it('is written when there is something new, and once a minute', async () => {
    const recorder = new Recorder().observe('s1');
    const file = fileOf(recorder);
    const path = join(directory, 'observed.json');
    const text = (): Promise<string> => readFile(path, 'utf8').catch(() => 'none');
    const startMs = performance.now();
    file.look(startMs);
    await file.write();
    await rm(path);
    file.look(startMs + 120_000);
    await file.write();
    expect(await text()).toBe('none');
    recorder.add();
    file.look(startMs + 121_000);
    expect(await text()).toBe('none');
    file.look(startMs + 181_000);
    await file.write();
    expect(JSON.parse(await text())).toHaveProperty('version', 1);
  });

  it.each([
    'no JSON',
    '{"version":2,"servers":[]}',
    '{"version":1,"servers":[{"server":"s1","observing":true,"sinceMs":-1,"lost":0,"forgotten":0,"kinds":[]}]}',
    '{"version":1,"servers":[{"server":"s1","observing":true,"sinceMs":1,"lost":0,"forgotten":0,"kinds":[[2,1,1,1,1,1]]}]}',
    '{"version":1,"servers":[{"server":"s1","observing":true,"sinceMs":1,"lost":0,"forgotten":0,"kinds":[[0,1,1,65536,1,1]]}]}',
  ])('what is damaged is not used: %s', async (text) => {
    await writeFile(join(directory, 'observed.json'), text);
    const recorder = new Recorder();
    await fileOf(recorder).read();
    expect(recorder.drops.of('s1')).toBeUndefined();
    expect(warnings).toEqual([
      'what servers were observed to do before is not used: it is damaged',
    ]);
  });

  it('says once that it cannot be written', async () => {
    await writeFile(join(directory, 'file'), '');
    const recorder = new Recorder().observe('s1');
    const file = new WouldDropsFile(join(directory, 'file/.state'), recorder.drops, (message) =>
      warnings.push(message),
    );
    await file.write();
    recorder.add();
    await file.write();
    expect(warnings).toHaveLength(1);
  });
});
