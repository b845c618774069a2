/**
 * Whatever stands in the data that it is given, the command line prints no control character but its own colours and line
 * breaks, and no line more than for harmless data.
 *
 * Between the verbs and a real API, a proxy puts hostile text into every string of every answer.
 */
import { Readable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiClient } from '../../../src/cli/api-client.ts';
import { checkCommand } from '../../../src/cli/check-command.ts';
import { completionCommand } from '../../../src/cli/completion-command.ts';
import type { Connections } from '../../../src/cli/connection.ts';
import { dropsCommand } from '../../../src/cli/drops-command.ts';
import { UserError } from '../../../src/cli/errors.ts';
import { explainCommand } from '../../../src/cli/explain-command.ts';
import { liveAnswers } from '../../../src/cli/explain-live.ts';
import { flowsCommand } from '../../../src/cli/flows-command.ts';
import { gatewayCommand } from '../../../src/cli/gateway-command.ts';
import { importCommand } from '../../../src/cli/import-command.ts';
import type { Verb } from '../../../src/cli/program.ts';
import { serverCommand } from '../../../src/cli/server-command.ts';
import { auditCommand, statusCommand } from '../../../src/cli/status-command.ts';
import { templateCommand } from '../../../src/cli/template-command.ts';
import { createTextEditor } from '../../../src/cli/text-editor.ts';
import { confirmCommand } from '../../../src/cli/confirm-command.ts';
import { diffCommand, historyCommand } from '../../../src/cli/history-command.ts';
import { gatewaysCommand } from '../../../src/cli/gateways-command.ts';
import { findCommand } from '../../../src/cli/find-command.ts';
import { reachCommand } from '../../../src/cli/reach-command.ts';
import { setCommand } from '../../../src/cli/set-command.ts';
import { testCommand } from '../../../src/cli/test-command.ts';
import { topCommand } from '../../../src/cli/top-command.ts';
import type { JudgedTest } from '../../../src/policy/policy-tests.ts';
import type { Screen } from '../../../src/cli/top-command.ts';
import type { Transport, TransportRequest, TransportResponse } from '../../../src/cli/transport.ts';
import { userCommand } from '../../../src/cli/user-command.ts';
import { runCli, unwatched } from '../../support/cli.ts';
import { apiOn } from '../../support/control-plane.ts';
import { hostileText } from '../../support/hostile-text.ts';
import { LiveData, drop, flow } from '../../support/live-data.ts';
import { seed } from '../../support/seed.ts';
import { TestDirectory, serversText, webText } from '../../support/stores.ts';

let directory: TestDirectory;
let api: Awaited<ReturnType<typeof apiOn>>;

beforeAll(async () => {
  directory = await TestDirectory.create({
    'templates/web.yaml': webText,
    'servers.yaml': serversText,
    'sets/office.yaml': 'addresses: [192.0.2.0/24]\ndescription: where we sit\n',
    'users.yaml': 'users: [{ name: alice, role: owner }]\n',
  });
  const observer = new LiveData();
  observer.flowsHeld = [flow('a1'), flow('b2', { protocol: 'icmp', icmpType: 8, icmpId: 7 })];
  observer.dropsSeen = [drop(1), drop(2)];
  api = await apiOn(directory.path, { listener: 'in-process', observer });
  // Something to compare and to go back to.
  await changed('POST', '/v1/templates/web/rules/inbound', { protocol: 'udp', ports: [53] });
  await changed('PATCH', '/v1/sets/office', { add: ['198.51.100.0/24'] });
});
afterAll(async () => {
  await api.close();
  await directory.remove();
});

async function changed(method: 'POST' | 'PATCH', url: string, payload: object): Promise<void> {
  const { statusCode, body } = await api.inject({ method, url, payload });
  if (statusCode >= 300) throw new Error(`${url}: ${body}`);
}

let stats: string | undefined;

/** Objects whose keys are names, not fields. */
const named = ['labels', 'drops', 'servers'];

/** The same value with `evil` in every string, and in every key that is a name. */
function poisoned(value: unknown, evil: string, key = ''): unknown {
  if (typeof value === 'string') {
    return `${value.slice(0, 3)}-${evil}${value.slice(3)}`;
  }
  if (Array.isArray(value)) return value.map((each) => poisoned(each, evil));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([own, inner]) => [
      named.includes(key) ? `${own}${evil}` : own,
      // What kind of answer it is stays: else only one path is seen.
      own === 'type' ? inner : poisoned(inner, evil, own),
    ]),
  );
}

class PoisoningTransport implements Transport {
  readonly name: string;
  readonly #evil: string;

  constructor(evil: string) {
    this.#evil = evil;
    this.name = `socket${evil}`;
  }

  async send({ method, url, headers, body }: TransportRequest): Promise<TransportResponse> {
    const isStream = headers['accept'] === 'text/event-stream';
    const {
      statusCode,
      headers: answered,
      rawPayload,
    } = await api.inject({
      method,
      url,
      headers: { ...headers, ...(isStream && { accept: 'application/json' }) },
      ...(body !== undefined && { payload: body }),
    });
    const contentType = String(answered['content-type'] ?? '');
    let payload = rawPayload.toString();
    // Counters go on; what is compared is the text.
    if (url.startsWith('/v1/stats')) payload = stats ??= payload;
    if (!contentType.includes('json')) {
      // A function: in a text, `$&` and the like would mean something.
      const text = payload.replace(/.$/m, (last) => last + this.#evil.replaceAll('\n', ''));
      return { status: statusCode, contentType, body: Readable.from([Buffer.from(text)]) };
    }
    const value = poisoned(JSON.parse(payload), this.#evil);
    const text = isStream ? eventsOf(url, value) : JSON.stringify(value);
    return {
      status: statusCode,
      contentType: isStream ? 'text/event-stream' : contentType,
      body: Readable.from([Buffer.from(text)]),
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function eventsOf(url: string, value: unknown): string {
  const event = (name: string, data: unknown): string =>
    `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
  if (url.startsWith('/v1/stats')) return event('stats', value) + event('stats', value);
  return (value as { drops: unknown[] }).drops.map((each) => event('drop', each)).join('');
}

/** A test that could not be asked. */
function judged(evil: string): JudgedTest {
  const from = { kind: 'server', name: evil, text: evil } as const;
  const test = { file: evil, line: 1, column: 2, path: evil, text: evil, from, to: from };
  return { test: { ...test, questions: [], expect: 'pass' }, problem: evil };
}

function verbsWith(evil: string, screen?: Screen): Verb[] {
  const connect = (): Promise<ApiClient> =>
    Promise.resolve(new ApiClient(new PoisoningTransport(evil)));
  const connections: Connections = { connect, firewall: connect };
  const interrupted = (): AbortSignal => new AbortController().signal;
  const readText = (): Promise<string> =>
    Promise.resolve(
      `*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -m comment --comment "a${evil.replaceAll(/["\\\n]/g, '')}" -j ACCEPT\n-A INPUT -m ${evil.replaceAll(/[\s"'\\]/g, '')}x -j ACCEPT\nCOMMIT\n`,
    );
  return [
    templateCommand({ connections, readText, editor: createTextEditor({ EDITOR: 'false' }) }),
    setCommand({ connections, readText, editor: createTextEditor({ EDITOR: 'false' }) }),
    historyCommand(connections),
    diffCommand(connections),
    gatewaysCommand(connections),
    confirmCommand(connections),
    findCommand(connections),
    reachCommand(connections),
    testCommand(() => Promise.resolve({ judged: [judged(evil)], problems: [] })),
    serverCommand(connections),
    userCommand({ connections, readSecret: () => Promise.resolve('correct horse battery') }),
    statusCommand(connections),
    auditCommand(connections),
    flowsCommand(connections),
    dropsCommand({ connections, interrupted }),
    topCommand({ connections, interrupted, screen }),
    completionCommand(connections),
    explainCommand({
      answer: liveAnswers(connections, () => Promise.reject(new Error('live'))),
      readText,
    }),
    importCommand({
      readText,
      openStore: () => Promise.reject(new Error('a dry run')),
      actor: 'alice',
      progress: () => ({ update: () => undefined, finish: () => undefined }),
    }),
    checkCommand(() => ({
      revision: evil,
      templates: [],
      servers: [],
      problems: [
        { file: evil, line: 1, column: 2, path: evil, message: evil, severity: 'error' },
        { file: evil, line: 0, column: 0, path: '', message: evil, severity: 'warning' },
      ],
    })),
    gatewayCommand({
      up: () => Promise.resolve({ device: evil, changed: [evil], warnings: [evil] }),
      down: () => Promise.reject(new UserError(`no${evil.replaceAll('\n', '')}`, evil)),
      status: () =>
        Promise.resolve({
          ok: false,
          device: evil,
          recorded: true,
          closed: false,
          bypass: undefined,
          fastPath: { mode: 'auto', interfaces: [], why: [evil] },
          warnings: [evil],
          attachedQueues: 0,
          state: 'degraded',
          problems: [],
          items: [{ kind: 'rule', ok: false, item: evil, expected: evil, found: evil }],
        }),
      watch: unwatched,
      configured: () => Promise.reject(new Error('not asked')),
    }),
  ];
}

const lines: readonly string[] = [
  'template list',
  'template show web',
  'template presets',
  'template presets web-server',
  'template history web',
  'template history web 1',
  'template diff web',
  'template show nope',
  'template add-rule web inbound TCP:1 --from nonsense',
  'template prune --dry-run',
  'set list',
  'set show office',
  'set show nope',
  'set history office',
  'set diff office',
  'history',
  'history --json',
  'diff',
  'gateways',
  'confirm',
  'find 80',
  'find web',
  'reach --to web-1:80',
  'reach --from any --to any',
  'test dir',
  'test dir --format tap',
  'test dir --format junit',
  'test dir --format github',
  'test dir --json',
  'server list',
  'server show web-1',
  'server rules web-1',
  'server show nope',
  'user list',
  'status',
  'audit',
  'flows',
  'flows kill a1 zz',
  'drops',
  'drops --follow --explain',
  'drops --json',
  'top --count 1 --plain',
  'top --count 1 --json',
  'completion names template',
  'explain --from 198.51.100.7 --to 10.0.0.2:22 --proto tcp',
  'explain --from 198.51.100.7 --to 10.0.0.2:443 --proto tcp --json',
  'import - --dry-run',
  'import - --dry-run --json',
  'check',
  'check --format github',
  'gateway up',
  'gateway down',
  'gateway status',
  'template list --json',
  'audit --json',
];

const countLines = (text: string): number => text.split('\n').length;

describe('nothing in the data steers a terminal', () => {
  it.each(lines)('%s', async (typed) => {
    const run = (evil: string, environment: Record<string, string>) =>
      runCli(verbsWith(evil), typed.split(' '), { tty: true, environment });
    const harmless = await run('-x-', { NO_COLOR: '1' });
    // With the real answers behind it, and no error in their place.
    const meant =
      /nope|nonsense|zz|^(?:test|check|gateway|reach|flows kill|import|confirm|gateways|user list|status|drops --follow)/;
    if (!meant.test(typed)) expect(harmless).toMatchObject({ code: 0, err: '' });
    await fc.assert(
      fc.asyncProperty(hostileText, async (evil) => {
        const { out, err } = await run(evil, { NO_COLOR: '1' });
        expect(`${out}${err}`).not.toMatch(/(?!\n)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u);
        expect([countLines(out), countLines(err)]).toEqual([
          countLines(harmless.out),
          countLines(harmless.err),
        ]);
        // With colours it is the same text, and the colours are ours.
        const coloured = await run(evil, {});
        expect(stripVTControlCharacters(coloured.out)).toBe(out);
        expect(stripVTControlCharacters(coloured.err)).toBe(err);
      }),
      // Each run of `top` lasts a second.
      { seed, numRuns: typed.startsWith('top') ? 3 : 12 },
    );
  });

  it('a report for programs is XML, whatever the tests say', async () => {
    await fc.assert(
      fc.asyncProperty(hostileText, async (evil) => {
        const { out } = await runCli(verbsWith(evil), ['test', 'dir', '--format', 'junit']);
        expect(out).not.toMatch(/[^\n\u0020-\u007e\u00a0-\ufffd\u{10000}-\u{10ffff}]/u);
        expect(out.split('\n')).toHaveLength(9);
        expect(out.match(/[<>]/g)).toHaveLength(18);
        expect(out.replaceAll(/&(?:amp|lt|gt|quot);/g, '')).not.toContain('&');
      }),
      { seed, numRuns: 50 },
    );
  });

  it('top on a screen', async () => {
    await fc.assert(
      fc.asyncProperty(hostileText, async (evil) => {
        let drawn = '';
        const screen: Screen = {
          size: () => ({ columns: 200, rows: 50 }),
          write: (text) => void (drawn += text),
          readKeys: () => () => undefined,
          watchSize: () => () => undefined,
        };
        await runCli(verbsWith(evil, screen), ['top', '--count', '1'], { tty: true });
        expect(drawn).toContain('\u001b[?1049h');
        // What the screen is driven with goes; nothing may be left.
        const rest = drawn.replaceAll(/\u001b\[(?:\?1049[hl]|\?25[hl]|H|K|J|\d{1,2}m)|\r\n/g, '');
        expect(rest).not.toMatch(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u);
      }),
      { seed, numRuns: 20 },
    );
  });
});
