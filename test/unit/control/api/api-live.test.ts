/** What only a running firewall knows, over HTTP: flows, drops as they come, counts, captures, live verdicts. */
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { dropReasons } from '../../../../src/control/api/live-words.ts';
import type { Role } from '../../../../src/policy/users.ts';
import { ApiLab, tokenOf } from '../../../support/api.ts';
import type { Answer } from '../../../support/api.ts';
import type { Json, Sender } from '../../../support/api.ts';
import { drop, flow } from '../../../support/fake-observer.ts';
import { alice } from '../../../support/stores.ts';

let lab: ApiLab;
beforeEach(async () => {
  lab = await ApiLab.create();
});
afterEach(async () => {
  vi.useRealTimers();
  await lab.close();
});

/** Events of a stream over a real connection, as they come. */
class Stream {
  readonly answer: IncomingMessage;
  readonly events: { event: string; data: Json }[] = [];
  #rest = '';
  ended = false;

  static async open(
    path: string,
    accept = 'text/event-stream',
    credentials: Record<string, string> = { authorization: tokenOf('owner') },
    localAddress = '127.0.0.1',
  ): Promise<Stream> {
    const address = lab.api.server.address() as { port: number } | null;
    if (address === null) await lab.api.listen({ host: '127.0.0.1', port: 0 });
    const { port } = lab.api.server.address() as { port: number };
    const headers = { ...credentials, accept };
    const sent = request({ host: '127.0.0.1', port, path, headers, localAddress }).end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return new Stream(answer);
  }

  private constructor(answer: IncomingMessage) {
    this.answer = answer;
    answer.setEncoding('utf8');
    answer.on('data', (chunk: string) => this.#take(chunk));
    answer.on('close', () => (this.ended = true));
    answer.on('error', () => (this.ended = true));
  }

  #take(chunk: string): void {
    const blocks = (this.#rest + chunk).split('\n\n');
    this.#rest = blocks.pop()!;
    for (const block of blocks) {
      const [, event, data] = /^event: (.+)\ndata: (.+)$/m.exec(block) ?? [];
      if (event !== undefined) this.events.push({ event, data: JSON.parse(data!) as Json });
    }
  }

  get ids(): unknown[] {
    return this.events.map(({ data }) => data['id']);
  }

  async until(condition: (stream: Stream) => boolean): Promise<void> {
    await vi.waitUntil(() => condition(this), { timeout: 10_000, interval: 5 });
  }
}

describe('drops', () => {
  it('come as they are dropped, the last ones first', async () => {
    const stream = await Stream.open('/v1/drops?server=web-1&limit=1');
    expect(stream.answer.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
    });
    await stream.until(({ events }) => events.length === 1);
    lab.observer.drops.emit(drop(3));
    lab.observer.drops.emit(drop(4));
    await stream.until(({ events }) => events.length === 3);
    expect(stream.ids).toEqual([2, 3, 4]);
    expect(stream.events.at(-1)).toEqual({ event: 'drop', data: drop(4) });
    expect(lab.observer.drops.queries).toEqual([{ server: 'web-1' }]);
    // When the reader disconnects, nothing is sent to it any more.
    stream.answer.destroy();
    await vi.waitUntil(() => lab.observer.drops.listeners.size === 0, { timeout: 10_000 });
  });

  it('are one answer if the client accepts JSON', async () => {
    const json = { headers: { accept: 'application/json' } };
    const { json: found } = await lab.send('member', 'GET /v1/drops?reason=martian-source', json);
    expect(found).toEqual({ drops: [drop(2, 'martian-source')] });
  });

  it('answer at once, though nothing is dropped', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const stream = await Stream.open('/v1/drops?limit=0');
    expect(stream.answer.statusCode).toBe(200);
    expect(stream.events).toEqual([]);
    stream.answer.destroy();
  });

  it('that a reader was too slow for are counted to him', async () => {
    const stream = await Stream.open('/v1/drops?limit=0');
    stream.answer.pause();
    const many = 40_000;
    for (let id = 10; id < 10 + many; id++) lab.observer.drops.emit(drop(id));
    stream.answer.resume();
    await stream.until(({ events }) => events.length > 1000);
    // The next one that fits tells of those that did not.
    await vi.waitUntil(
      () => {
        lab.observer.drops.emit(drop(1_000_000));
        return stream.events.some(({ event }) => event === 'missed');
      },
      { timeout: 10_000, interval: 20 },
    );
    const missed = stream.events.find(({ event }) => event === 'missed')!.data['missed'];
    const seen = new Set(stream.ids.filter((id) => Number(id) < 1_000_000)).size;
    expect(Number(missed)).toBeGreaterThanOrEqual(many - seen);
    stream.answer.destroy();
  });

  it('end when the server closes, so that it can', async () => {
    const stream = await Stream.open('/v1/drops');
    await lab.api.close();
    await stream.until(({ ended }) => ended);
    // A chunk of length zero: an end, not a connection that broke.
    expect(stream.answer.complete).toBe(true);
    expect(lab.observer.drops.listeners.size).toBe(0);
  });
});

describe('a stream ends within a second when the right to read it ends', () => {
  const paths = ['/v1/drops?limit=0', '/v1/stats', '/v1/capture'];
  const lookMs = 500;

  /** Opens all of them, lets some time go, takes the right away, and sees them end when it is looked. */
  async function endsAll(
    credentials: Record<string, string>,
    take: () => Promise<unknown>,
  ): Promise<void> {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    lab.observer.captureEnds = false;
    const streams: Stream[] = [];
    for (const path of paths) streams.push(await Stream.open(path, '*/*', credentials));
    const events = await Stream.open('/v1/stats', 'text/event-stream', credentials);
    await vi.waitUntil(() => streams[1]!.ended);
    const open = [streams[0]!, streams[2]!, events];
    const list = vi.spyOn(lab.store.users, 'list');
    vi.advanceTimersByTime(lookMs);
    await vi.waitUntil(() => list.mock.settledResults.length > 0);
    expect(open.map(({ ended }) => ended)).toEqual([false, false, false]);
    await take();
    vi.advanceTimersByTime(lookMs);
    for (const stream of open) await stream.until(({ ended }) => ended);
    await vi.waitUntil(() => lab.observer.captures.at(-1)!.stream.destroyed);
    expect(lab.observer.drops.listeners.size).toBe(0);
  }
  const token = { authorization: tokenOf('owner') };

  it('when the token is revoked', async () => {
    await endsAll(token, () => lab.store.users.revokeToken(alice, 'owner', 'test'));
  });

  it('when the role changes', async () => {
    await lab.store.users.create(alice, { name: 'eve', role: 'owner' });
    await endsAll(token, () => lab.store.users.setRole(alice, 'owner', 'billing-admin'));
  });

  it('when the user is gone', async () => {
    await endsAll(token, () => lab.directory.write({ 'users.yaml': 'users: []\n' }));
  });

  it('when nobody can say for ten seconds who the users are', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    lab.observer.captureEnds = false;
    const reader = await Stream.open('/v1/capture', '*/*', token);
    const list = vi.spyOn(lab.store.users, 'list').mockReturnValue(new Promise(() => undefined));
    vi.advanceTimersByTime(20 * lookMs);
    expect([list.mock.calls.length, lab.observer.captures[0]!.stream.destroyed]).toEqual([
      1,
      false,
    ]);
    vi.advanceTimersByTime(lookMs);
    await reader.until(({ ended }) => ended);
    expect(lab.observer.captures[0]!.stream.destroyed).toBe(true);
  });

  it('when the session ends', async () => {
    await lab.store.users.create(alice, { name: 'eve', role: 'owner', password: 'correct horse' });
    const login = await lab.send('nobody', 'POST /v1/session', {
      body: { name: 'eve', password: 'correct horse' },
    });
    const cookie = (login.headers['set-cookie'] as string).split(';')[0]!;
    const logout = (): Promise<unknown> =>
      lab.send('nobody', 'DELETE /v1/session', {
        headers: { cookie, origin: 'http://127.0.0.1:8740' },
      });
    await endsAll({ cookie }, logout);
  });
});

describe('so many streams at once', () => {
  const events = { headers: { accept: 'text/event-stream' } };
  /** @returns the ends of what was opened, and the answer to one more */
  const fill = async (
    count: number,
    path: string,
    sender: Sender,
    from?: string,
  ): Promise<void> => {
    const credentials = { authorization: tokenOf(sender as Role) };
    for (let opened = 0; opened < count; opened++) {
      const { answer } = await Stream.open(path, 'text/event-stream', credentials, from);
      expect(answer.statusCode).toBe(200);
      answers.push(answer);
    }
  };
  const answers: IncomingMessage[] = [];
  afterEach(() => {
    for (const answer of answers.splice(0)) answer.destroy();
  });

  it('has one user, so that others have some as well', async () => {
    await fill(16, '/v1/drops?limit=0', 'billing-member');
    const more = await lab.send('billing-member', 'GET /v1/drops', events);
    expect([more.problem, more.headers['retry-after']]).toEqual(['busy', '10']);
    expect(more.json!['detail']).toBe('billing-member has 16 event streams open already');
    await fill(1, '/v1/stats', 'owner');
    // One that goes makes room.
    answers.shift()!.destroy();
    await vi.waitUntil(() => lab.observer.drops.listeners.size === 15);
    await fill(1, '/v1/drops?limit=0', 'billing-member');
  });

  it('has one address, whoever asks from there', async () => {
    for (let index = 0; index < 8; index++) {
      const name = `user-${index}`;
      await lab.store.users.create(alice, { name, role: 'member' });
      const { token } = await lab.store.users.createToken(alice, name, 'test');
      const credentials = { authorization: `Bearer ${token}` };
      for (let opened = 0; opened < 8; opened++) {
        const stream = await Stream.open('/v1/drops?limit=0', undefined, credentials);
        answers.push(stream.answer);
      }
    }
    const here = { ...events, remoteAddress: '127.0.0.1' };
    const more = await lab.send('owner', 'GET /v1/drops', here);
    expect(more.json!['detail']).toBe('64 event streams to 127.0.0.1 are open already');
    await fill(1, '/v1/drops?limit=0', 'owner', '127.0.0.2');
  });

  it('has one user of captures', async () => {
    lab.observer.captureEnds = false;
    await fill(4, '/v1/capture', 'owner');
    const more = await lab.send('owner', 'GET /v1/capture');
    expect([more.problem, more.json!['detail']]).toEqual([
      'busy',
      'owner has 4 captures open already',
    ]);
    expect(lab.observer.captures).toHaveLength(4);
    await fill(1, '/v1/drops?limit=0', 'owner');
  });

  it('have all listeners together', async () => {
    lab.observer.captureEnds = false;
    for (let index = 0; index < 4; index++) {
      const name = `owner-${index}`;
      await lab.store.users.create(alice, { name, role: 'owner' });
      const { token } = await lab.store.users.createToken(alice, name, 'test');
      for (let opened = 0; opened < 4; opened++) {
        const credentials = { authorization: `Bearer ${token}` };
        answers.push((await Stream.open('/v1/capture', '*/*', credentials)).answer);
      }
    }
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(16).fill(200));
    const full = '16 captures are open already';
    const more = await lab.send('owner', 'GET /v1/capture');
    expect([more.problem, more.json!['detail']]).toEqual(['busy', full]);
    const socket = await lab.build('socket');
    const there = await socket.inject('/v1/capture');
    expect([there.statusCode, there.json<Json>()['detail']]).toEqual([503, full]);
    // A listener that closes ends its own streams only.
    await socket.close();
    const { captures } = lab.observer;
    expect(captures.map(({ stream }) => stream.destroyed)).toEqual(Array(16).fill(false));
    await lab.api.close();
    expect(captures.map(({ stream }) => stream.destroyed)).toEqual(Array(16).fill(true));
  });

  it('that fail to begin take no place from others', async () => {
    const failing = vi.spyOn(lab.observer.drops, 'recent').mockImplementation(() => {
      throw new Error('no drops today');
    });
    const ask = () => lab.send('owner', 'GET /v1/drops', events);
    for (let tries = 0; tries < 65; tries++) expect((await ask()).status).toBe(500);
    failing.mockRestore();
    const stream = await Stream.open('/v1/drops?limit=1');
    await stream.until((each) => each.events.length === 1);
    stream.answer.destroy();
  });
});

describe('statistics', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });

  /** Waits in the time of the timers. */
  async function passing<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    void promise.finally(() => (settled = true));
    await vi.waitUntil(() => settled, { timeout: 10_000, interval: 5 });
    return await promise;
  }

  /** How often each part was made. */
  function countMade(): () => number[] {
    const spies = (['totals', 'serverTotals', 'ruleHits'] as const).map((each) =>
      vi.spyOn(lab.observer, each),
    );
    return () => spies.map(({ mock }) => mock.calls.length);
  }

  it('are made once a second, however many streams read them, and of what they want', async () => {
    const queries = ['rules=true', 'rules=true', 'servers=false', 'rules=true&servers=false'];
    const streams = await passing(
      Promise.all(queries.map((query) => Stream.open(`/v1/stats?${query}`))),
    );
    const made = countMade();
    const before = streams[0]!.events.length;
    await streams[0]!.until(({ events }) => events.length >= before + 3);
    const [totals, servers, hits] = made();
    expect([servers, hits]).toEqual([totals, totals]);
    // One may be on its way.
    expect(totals).toBeLessThanOrEqual(4);
    const keys = streams.map(({ events }) => {
      const { data } = events.at(-1)!;
      return ['rules', 'servers'].filter((key) => key in data);
    });
    expect(keys).toEqual([['rules', 'servers'], ['rules', 'servers'], [], ['rules']]);
    // No stream wants rules any more: they are not walked.
    for (const at of [0, 1, 3]) streams[at]!.answer.destroy();
    await vi.waitUntil(
      async () => {
        const walks = made()[2];
        const count = streams[2]!.events.length;
        await streams[2]!.until(({ events }) => events.length > count + 1);
        return made()[2] === walks;
      },
      { timeout: 10_000 },
    );
  });

  it('are made once a second for requests, too, and never before a request', async () => {
    const made = countMade();
    const get = (query = ''): Promise<Answer> => lab.send('member', `GET /v1/stats${query}`);
    expect((await get()).status).toBe(200);
    expect(made()).toEqual([1, 1, 0]);
    const answers = Promise.all([get(), get('?servers=false'), get('?rules=true'), get()]);
    // They wait for the second to pass.
    expect(made()).toEqual([1, 1, 0]);
    const found = await passing(answers);
    expect(made()).toEqual([2, 2, 1]);
    const parts = found.map(({ json }) => ['servers', 'rules'].filter((key) => key in json!));
    expect(parts).toEqual([['servers'], [], ['servers', 'rules'], ['servers']]);
  });
});

it('statistics come once a second', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const stream = await Stream.open('/v1/stats?rules=true');
  await stream.until(({ events }) => events.length === 1);
  vi.advanceTimersByTime(2000);
  await stream.until(({ events }) => events.length === 3);
  const { event, data } = stream.events.at(-1)!;
  expect(event).toBe('stats');
  expect(data).toMatchObject({
    epoch: 1,
    servers: { 'web-1': { inbound: { passed: { packets: 2 } } } },
    drops: { 'no-inbound-rule': 0 },
  });
  expect(data['rules']).toMatchObject([
    { template: 'web', direction: 'inbound', index: 0, text: 'TCP: 80,443 from any', hits: 5 },
    { template: 'web', index: 1, text: 'TCP: 22 from 198.51.100.0/24' },
  ]);
  stream.answer.destroy();
});

it('statistics leave out servers that no client asks for', async () => {
  const { json } = await lab.send('member', 'GET /v1/stats?servers=false');
  expect(json).toMatchObject({ epoch: 1, drops: { 'no-inbound-rule': 0 } });
  expect(json).not.toHaveProperty('servers');
});

it('every drop reason has a sentence', async () => {
  const { json } = await lab.send('member', 'GET /v1/drop-reasons');
  const { reasons } = json as unknown as { reasons: { reason: string; message: string }[] };
  expect(reasons.map(({ reason }) => reason)).toEqual(dropReasons);
  for (const { reason, message } of reasons) expect(message, reason).toMatch(/ /);
});

describe('flows', () => {
  it('are asked for as the query says', async () => {
    const query = 'address=10.0.0.2&port=443&protocol=tcp&state=established&after=7';
    const { json } = await lab.send('member', `GET /v1/flows?${query}`);
    expect(json).toEqual({ flows: [flow], total: 1 });
    await lab.send('member', 'GET /v1/flows?server=web-1&sort=age&limit=5');
    expect(lab.observer.flowQueries).toEqual([
      {
        ...{ address: '10.0.0.2', port: 443, protocol: 'tcp', state: 'established', after: '7' },
        ...{ sort: 'bytes', limit: 100 },
      },
      { server: 'web-1', sort: 'age', limit: 5 },
    ]);
  });

  it('are killed by owners, which is in the audit log', async () => {
    expect((await lab.send('owner', `DELETE /v1/flows/${flow.id}`)).json).toEqual({ killed: true });
    const { records } = await lab.store.audit.query({ action: 'flow.kill' });
    expect(records[0]).toMatchObject({ actor: { name: 'owner' }, target: [flow.id], result: 'ok' });
  });
});

describe('a capture', () => {
  it('is the file as it grows, and in the audit log', async () => {
    const answer = await lab.send('owner', 'GET /v1/capture?server=web-1&snaplen=128&limit=9');
    expect(answer.headers['content-type']).toBe('application/x-pcapng');
    expect(Buffer.from(answer.body)).toEqual(Buffer.from([0x0a, 0x0d, 0x0d, 0x0a]));
    expect(lab.observer.captures[0]!.options).toEqual({
      ...{ server: 'web-1', snapLength: 128, limit: 9 },
    });
    const { records } = await lab.store.audit.query({ action: 'capture' });
    expect(records[0]!.target).toEqual(['web-1']);
  });

  it('ends when the client goes', async () => {
    lab.observer.captureEnds = false;
    const stream = await Stream.open('/v1/capture', '*/*');
    stream.answer.destroy();
    await once(lab.observer.captures[0]!.stream, 'close');
  });
});

describe('explain', () => {
  const asked = { src: '198.51.100.7', dst: '10.0.0.2', protocol: 'tcp', srcPort: 9, dstPort: 25 };
  const explain = async (body: object): Promise<Json> =>
    (await lab.send('member', 'POST /v1/explain', { body })).json!;

  it('names the nearest rule and what fails of it', async () => {
    expect(await explain(asked)).toMatchObject({
      ...{ verdict: 'drop', reason: 'no-inbound-rule', decidedBy: 'rules', epoch: 1 },
      sides: [{ server: 'web-1', nearest: { template: 'web', failed: [{ field: 'ports' }] } }],
    });
  });

  it('lets a live flow decide, if there is one', async () => {
    lab.observer.live = { flow, verdict: 'pass', reason: 'none' };
    expect(await explain(asked)).toMatchObject({
      ...{ verdict: 'pass', reason: 'none', decidedBy: 'flow', flow: { id: flow.id } },
    });
    lab.observer.live = { flow, verdict: 'drop', reason: 'out-of-window' };
    expect(await explain(asked)).toMatchObject({
      ...{ verdict: 'drop', reason: 'out-of-window', decidedBy: 'flow' },
      message: expect.stringContaining('window') as string,
    });
  });

  it('takes the bytes of any packet', async () => {
    const syn =
      '45 00 00 28 00 00 00 00 40 06 00 00 c6 33 64 07 0a 00 00 02 00 09 00 19 00 00 00 00 00 00 00 00 50 02 ff ff 00 00 00 00';
    expect(await explain({ hex: syn })).toMatchObject({
      ...{ verdict: 'drop', reason: 'bad-ip-checksum', decidedBy: 'packet' },
    });
    expect(await explain({ hex: '45:00' })).toMatchObject({ reason: 'truncated', packet: {} });
  });
});
