/** `tunwall flows`, `drops`, `top`, `capture` and `explain` over the socket of a firewall that says what the test wants. */
import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import type { Drop } from '../../../src/control/api/context.ts';
import { PcapngWriter } from '../../../src/interop/captures/pcapng-writer.ts';
import { captureCommand } from '../../../src/cli/capture-command.ts';
import { dropsCommand } from '../../../src/cli/drops-command.ts';
import { explainCommand } from '../../../src/cli/explain-command.ts';
import { liveAnswers } from '../../../src/cli/explain-live.ts';
import { flowsCommand } from '../../../src/cli/flows-command.ts';
import { openToWrite } from '../../../src/cli/process-parts.ts';
import { suggestCommand } from '../../../src/cli/suggest-command.ts';
import { topCommand } from '../../../src/cli/top-command.ts';
import type { Screen } from '../../../src/cli/top-command.ts';
import type { SeenFlows } from '../../../src/policy/suggest.ts';
import { addressToInt } from '../../../src/testing/packets.ts';
import { runCli } from '../../support/cli.ts';
import type { Ran, RunOptions } from '../../support/cli.ts';
import { apiOn, socketConnections } from '../../support/control-plane.ts';
import { LiveData, drop, flow } from '../../support/live-data.ts';
import { TestDirectory, serversText, webText } from '../../support/stores.ts';

let directory: TestDirectory;
let observer: LiveData;
let api: Awaited<ReturnType<typeof apiOn>>;
let interrupt: AbortController;
let screen: Screen | undefined;

beforeEach(async () => {
  directory = await TestDirectory.create({
    'templates/web.yaml': webText,
    'servers.yaml': serversText,
  });
  observer = new LiveData();
  interrupt = new AbortController();
  screen = undefined;
  api = await apiOn(directory.path, { listener: 'socket', observer });
  await api.listen({ path: join(directory.path, 'sock') });
});
afterEach(async () => {
  await api.close();
  await directory.remove();
});

function run(line: string, options: RunOptions = {}): Promise<Ran> {
  const connections = socketConnections(join(directory.path, 'sock'));
  const interrupted = (): AbortSignal => interrupt.signal;
  const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
  const verbs = [
    flowsCommand(connections),
    dropsCommand({ connections, interrupted }),
    topCommand({ connections, interrupted, screen }),
    captureCommand({ connections, interrupted, openFile: (path) => openToWrite(path, sink) }),
    suggestCommand(connections),
    explainCommand({
      answer: liveAnswers(connections, () => Promise.reject(new Error('a firewall listens'))),
      readText: () => Promise.resolve('45 00'),
    }),
  ];
  return runCli(verbs, line.split(' '), options);
}

describe('suggest', () => {
  const seen = (port: number, peers: readonly string[], count = 1): SeenFlows[] =>
    peers.map((peer) => ({
      ...{ direction: 'inbound', protocol: 'tcp', port, count, lastMs: Date.UTC(2030, 0, 2) },
      peer: addressToInt(peer) >>> 0,
    }));

  it('prints rules, what else they admit, and commands that add them', async () => {
    const kinds = [
      ...seen(8080, ['10.0.1.3', '192.0.2.1', '192.0.2.2', '192.0.2.4'], 300),
      ...seen(443, ['192.0.2.9']),
    ];
    observer.seen.set('web-1', { sinceMs: Date.UTC(2030, 0, 1), forgotten: 7, lost: 1, kinds });
    const { code, out, err } = await run('suggest web-1 --peers 2');
    expect({ code, out: out.split('\n'), err: err.split('\n') }).toEqual({
      code: 0,
      out: [
        'server web-1 does not observe now; recorded since 2030-01-01T00:00:00.000Z',
        'inbound  TCP: 8080 from server:db-1, 192.0.2.0/29  (1,200 flows, 4 addresses, last 2030-01-02T00:00:00.000Z)',
        '    also admits 6 addresses that were not seen: 10.0.0.3, 192.0.2.0, 192.0.2.3, 192.0.2.5-192.0.2.7',
        'a rule allows by now: 1 flow of the record',
        '',
        'to add them:',
        "  tunwall template add-rule web inbound 'TCP: 8080' --from server:db-1 --from 192.0.2.0/29",
        '',
      ],
      err: [
        'not covered: 7 flows, forgotten because there were too many kinds',
        'lost under load, and perhaps missing here: 1 record of drops',
        '',
      ],
    });
    const { out: json } = await run('suggest web-1 --at-least 301 --json');
    expect(JSON.parse(json)).toMatchObject({ rules: [], leftOut: 1200, allowed: 1 });
  });

  it('a server without templates gets one; one that has not observed is told how', async () => {
    observer.seen.set('db-1', {
      sinceMs: 0,
      forgotten: 0,
      lost: 0,
      kinds: seen(22, ['192.0.2.1']),
    });
    const { out } = await run('suggest db-1');
    expect(out).toContain('\n  tunwall template create db-1-observed --assign db-1\n');
    expect(out).toContain("add-rule db-1-observed inbound 'TCP: 22' --from 192.0.2.1\n");
    expect((await run('suggest web-1')).out).toContain('has not observed on this gateway');
    expect(await run('suggest web-1 --template other')).toMatchObject({ code: 1 });
  });
});

describe('flows', () => {
  it('prints a table, and how many more there are', async () => {
    observer.flowsHeld = [flow('a1'), flow('b2', { protocol: 'icmp', icmpType: 8, icmpId: 7 })];
    const { code, out, err } = await run('flows --limit 1');
    expect([code, err]).toEqual([0, '1 of 2 flows: --limit shows more, filters find some\n']);
    expect(out).toMatch(
      /^id +protocol +state +from +to +packets +bytes +age +idle +ends in\na1 +tcp +established +198\.51\.100\.7:4000 +10\.0\.0\.2:443 \(web-1\) +12\/34 +3\.5k\/5\.7M +4 min 3 s +1 s +5 d 0 h\n$/,
    );
    expect((await run('flows')).out).toMatch(/icmp\n[^]*type 8 id 7\n$/);
  });

  it('hands on what was asked for', async () => {
    await run(
      'flows --server web-1 --address 10.0.0.2 --port 443 --proto tcp --sort age --limit 5',
    );
    expect(observer.queries).toEqual([
      {
        ...{ server: 'web-1', address: '10.0.0.2', port: 443, protocol: 'tcp' },
        ...{ sort: 'age', limit: 5 },
      },
    ]);
    expect((await run('flows --server nope')).err).toContain('there is no server "nope"');
    expect((await run('flows --address x')).err).toMatch(/\n {2}address: /);
    const { out } = await run('flows --json');
    expect(JSON.parse(out)).toEqual({ flows: [], total: 0 });
  });

  it('kills those that are named, and says which were not there', async () => {
    observer.flowsHeld = [flow('a1'), flow('b2'), flow('c3')];
    expect(await run('flows kill a1 c3')).toEqual({ code: 0, out: '2 flows ended\n', err: '' });
    expect(observer.flowsHeld.map(({ id }) => id)).toEqual(['b2']);
    expect(await run('flows kill a1')).toMatchObject({ code: 1, err: 'there is no flow a1\n' });
    expect(JSON.parse((await run('flows kill b2 --json')).out)).toEqual({ killed: 1, gone: [] });
  });

  it('kills all that match, on all pages', async () => {
    observer.flowsHeld = Array.from({ length: 1002 }, (_, index) =>
      flow(`f${index}`, { destinationPort: index === 7 ? 80 : 22 }),
    );
    expect((await run('flows kill --port 22')).out).toBe('1001 flows ended\n');
    expect(observer.flowsHeld.map(({ id }) => id)).toEqual(['f7']);
  });

  it.each(['flows kill', 'flows kill a1 --port 22', 'flows --port 70000', 'flows --sort size'])(
    '%s is a usage error',
    async (line) => {
      const { code, out } = await run(line);
      expect({ code, out }).toEqual({ code: 2, out: '' });
    },
  );
});

describe('drops by group', () => {
  it('are a table of the fields that were asked for', async () => {
    const group = {
      ...{ source: '198.51.100.7', protocol: 'tcp', destinationPort: 22, count: 12, bytes: 720 },
      ...{ first: '2030-01-31T12:00:00.000Z', last: '2030-01-31T12:00:01.000Z' },
    };
    observer.dropGroups = { groups: [group], total: 3, drops: 20, forgotten: 5 };
    const { code, out, err } = await run('drops --by source,port --limit 1');
    expect(code).toBe(0);
    expect(out).toMatch(/^drops +bytes +last +source +port\n/);
    expect(out).toMatch(/\n12 +720 +2030-01-31T12:00:01.000Z +198.51.100.7 +tcp\/22\n$/);
    expect(err).toContain('1 of 3 groups');
    expect(err).toContain('5 drops are in no group any more');
    expect(observer.groupQueries).toEqual([{ by: ['source', 'port'], sort: 'count', limit: 1 }]);
    const json = await run('drops --by source,port --sort last --json');
    expect(JSON.parse(json.out)).toEqual(observer.dropGroups);
  });

  it.each(['drops --by colour', 'drops --by source --follow', 'drops --sort last'])(
    '%s is a usage error',
    async (line) => expect((await run(line)).code).toBe(2),
  );
});

describe('drops', () => {
  it('prints the last ones, with what explains them if asked', async () => {
    const portless = { sourcePort: undefined, destinationPort: undefined, tcpFlags: undefined };
    // As JSON has them: without the keys.
    const without = (more: object): Partial<Drop> =>
      JSON.parse(JSON.stringify({ ...drop(0), ...portless, ...more })) as Drop;
    observer.dropsSeen = [
      drop(1),
      without({
        ...drop(2, { protocol: 'icmp', reason: 'icmp-type' }),
        ...portless,
        icmpType: 13,
        icmpCode: 0,
      }),
      without({
        ...drop(3, { protocol: '47', direction: 'none', reason: 'protocol' }),
        ...portless,
      }),
    ] as Drop[];
    expect((await run('drops')).out.split('\n')).toEqual([
      '2030-01-31T12:00:01.000Z no-inbound-rule inbound tcp 198.51.100.7:4000 > 10.0.0.2:22 (web-1) S 60',
      '2030-01-31T12:00:02.000Z icmp-type inbound icmp 198.51.100.7 > 10.0.0.2 (web-1) type 13 code 0 60',
      '2030-01-31T12:00:03.000Z protocol 47 198.51.100.7 > 10.0.0.2 (web-1) 60',
      '',
    ]);
    const explained = (await run('drops -x')).out;
    expect(explained).toContain(
      '\n  tunwall explain --from 198.51.100.7:4000 --to 10.0.0.2:22 --proto tcp\n',
    );
    expect(explained).toContain('--proto icmp --icmp-type 13\n');
    expect(explained.match(/tunwall explain/g)).toHaveLength(2);
    expect((await run('drops --limit 1')).out).toMatch(/^[^\n]*protocol 47[^\n]*\n$/);
    expect((await run('drops --reason icmp-type')).out).toMatch(/^[^\n]*type 13[^\n]*\n$/);
    expect(JSON.parse((await run('drops --json')).out)).toMatchObject({
      drops: [{ id: 1 }, {}, {}],
    });
  });

  it('follows until Ctrl-C, one JSON object a line', async () => {
    observer.dropsSeen = [drop(1)];
    let seen = 0;
    const { code, out, err } = await run('drops --follow --json', {
      onOut: () => {
        if (++seen < 3) observer.tell(drop(1 + seen));
        else interrupt.abort();
      },
    });
    expect([code, err]).toEqual([0, '']);
    const lines = out.trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { id: number }).id)).toEqual([1, 2, 3]);
  });

  it('says when the firewall has gone', async () => {
    observer.dropsSeen = [drop(1)];
    let closing: Promise<unknown> | undefined;
    const { code, err } = await run('drops -f', {
      onOut: () => {
        closing = api.close();
      },
    });
    await closing;
    expect([code, err]).toEqual([1, expect.stringContaining('the firewall has ended the stream')]);
  });
});

describe('top', () => {
  it('prints rates as text where there is no terminal', async () => {
    const { code, out, err } = await run('top --count 1');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^tunwall top {2}\S+sock {2}\S+Z {2}epoch 0\n/);
    // A second between looks is what was asked for; how long it was is in the answer.
    const [, passed] = /^passed +(\d+\.?\d*)(k?) packets\/s/m.exec(out)!;
    expect(Number(passed)).toBeGreaterThan(0);
    expect(out).toMatch(/^server +in p\/s .*\nweb-1 +\d/m);
    expect(out).toMatch(/^drop reason +packets\/s +in all\nno-inbound-rule +\d+\.?\d* +40$/m);
    expect(out).toMatch(
      /^template +rule +opened\/s +in all +allows\nweb +inbound\[0\] +\d\.\d +10 +TCP: 80,443 from any$/m,
    );
  });

  it('prints one JSON object a line', async () => {
    const { out } = await run('top --count 2 --json');
    const looks = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(looks).toHaveLength(2);
    expect(looks[0]).toMatchObject({ servers: [{ server: 'web-1' }, { server: 'db-1' }] });
  });

  it.each([
    ['q', (): void => undefined],
    ['Ctrl-C', (): void => undefined],
    ['a signal', (): void => interrupt.abort()],
  ])('has the screen of a terminal until %s, and gives it back', async (how, signal) => {
    let shown = '';
    let press: (key: string) => void = () => undefined;
    let resize: () => void = () => undefined;
    let size = { columns: 60, rows: 24 };
    const stopped: string[] = [];
    screen = {
      size: () => size,
      write: (text) => {
        shown += text;
        if (text.includes('passed') && !text.includes('web-1')) {
          if (how === 'q') press('q');
          else if (how === 'Ctrl-C') press('\x03');
          else signal();
        } else if (text.includes('passed')) {
          size = { columns: 20, rows: 6 };
          resize();
        }
      },
      readKeys: (onKey) => {
        press = onKey;
        return () => stopped.push('keys');
      },
      watchSize: (onResize) => {
        resize = onResize;
        return () => stopped.push('size');
      },
    };
    const { code, out, err } = await run('top', { tty: true });
    expect({ code, out, err }).toEqual({ code: 0, out: '', err: '' });
    expect(shown.startsWith('\x1b[?1049h')).toBe(true);
    expect(shown.endsWith('\x1b[?1049l')).toBe(true);
    expect(stopped).toEqual(['keys', 'size']);
  });
});

describe('capture', () => {
  /** A file of three packets, and where each of its blocks ends. */
  async function pcapng(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    const writer = new PcapngWriter(
      new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          chunks.push(Buffer.from(chunk));
          done();
        },
      }),
      { application: 'tunwall' },
    );
    for (let i = 0; i < 3; i++) {
      writer.packet({
        ...{ seconds: 1_700_000_000 + i, nanoseconds: 0, offset: 0, length: 21 },
        bytes: new Uint8Array(21).fill(0x45),
        comment: 'tunwall: drop no-inbound-rule, inbound tcp',
      });
    }
    await writer.end();
    return Buffer.concat(chunks);
  }

  it('writes the file, and hands on what was asked for', async () => {
    observer.captureBytes = await pcapng();
    const file = join(directory.path, 'out.pcapng');
    const { code, out, err } = await run(
      `capture -w ${file} --dropped --server web-1 --snaplen 100 --count 3`,
    );
    expect({ code, out, err }).toEqual({ code: 0, out: '', err: '3 packets captured\n' });
    expect(await readFile(file)).toEqual(observer.captureBytes);
    expect(observer.captures).toEqual([
      { verdict: 'dropped', server: 'web-1', snapLength: 100, limit: 3 },
    ]);
  });

  it('ends with whole blocks, wherever it is interrupted', async () => {
    const whole = await pcapng();
    observer.captureBytes = whole.subarray(0, whole.length - 100);
    observer.captureEnds = false;
    const file = join(directory.path, 'out.pcapng');
    const running = run(`capture -w ${file}`);
    while ((await readFile(file).catch(() => Buffer.alloc(0))).length === 0) await delay(10);
    interrupt.abort();
    const { code, err } = await running;
    expect([code, err]).toEqual([0, expect.stringMatching(/^[12] packets? captured\n$/)]);
    const written = await readFile(file);
    expect(written).toEqual(whole.subarray(0, written.length));
    if (spawnSync('tcpdump', ['--version']).error === undefined) {
      const { status, stdout } = spawnSync('tcpdump', ['-nr', file], { encoding: 'utf8' });
      expect(status).toBe(0);
      expect(stdout.trimEnd().split('\n')).toHaveLength(Number(err[0]));
    }
  });

  it.each<[string, RegExp, number]>([
    ['capture -w /nowhere/x', /^tunwall: \/nowhere\/x cannot be written: ENOENT/, 1],
    ['capture -w /dev/full --passed', /^tunwall: the capture cannot be written: ENOSPC/, 1],
    ['capture -w - --server nope', /there is no server "nope"/, 0],
  ])('%s fails, and nothing is left running', async (line, message, captures) => {
    observer.captureBytes = await pcapng();
    observer.captureEnds = false;
    const { code, err } = await run(line);
    expect([code, err]).toEqual([1, expect.stringMatching(message)]);
    await expect.poll(() => observer.capturesOver).toBe(captures);
  });

  it('a refusal leaves a file of that name alone', async () => {
    const file = join(directory.path, 'precious');
    await writeFile(file, 'x');
    expect((await run(`capture -w ${file} --server nope`)).code).toBe(1);
    expect(await readFile(file, 'utf8')).toBe('x');
  });

  it.each(['capture', 'capture -w - --dropped --passed', 'capture -w - --snaplen 0'])(
    '%s is a usage error',
    async (line) => expect((await run(line)).code).toBe(2),
  );
});

test('explain asks for the live flow, too', async () => {
  const line = 'explain --from 198.51.100.7:4000 --to 10.0.0.2:443 --proto tcp';
  const asked = await run(line);
  expect(asked.out).toContain(`template web, ${directory.path}/templates/web.yaml:5: inbound[0]`);
  observer.live = { flow: flow('a1'), verdict: 'pass', reason: 'none' };
  const { code, out } = await run(line);
  expect(code).toBe(0);
  expect(out).toMatch(/^PASS {2}tcp 198\.51\.100\.7:4000 -> 10\.0\.0\.2:443/);
  expect(out).toContain('a live flow decides: a1, established, open for 4 min 3 s\n');
  expect(JSON.parse((await run(`${line} --json`)).out)).toMatchObject({
    decidedBy: 'flow',
    flow: { id: 'a1' },
  });
  expect((await run('explain --hex -')).code).toBe(0);
  expect((await run('explain --from 198.51.100.7 --to web-1:443')).code).toBe(0);
  const unclear = await run('explain --from web-1 --to db-1:443');
  expect(unclear).toMatchObject({
    code: 1,
    err: expect.stringContaining(
      'server db-1 has several addresses, say which one: 10.0.0.3, 10.0.1.3',
    ) as string,
  });
});
