/**
 * Hostile requests, made from the OpenAPI document: every route in turn, with hostile values in path, query, headers and
 * body, by every role. What must not come of them: a server error, a stack, an answer that the document does not know, a request
 * that hangs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Readable } from 'node:stream';
import type { InjectOptions } from 'fastify';
import { roles } from '../../src/policy/users.ts';
import { checkAnswer, documentOf } from '../support/api-answers.ts';
import type { Document, Operation } from '../support/api-answers.ts';
import { ApiLab, tokenOf } from '../support/api.ts';
import type { Sender } from '../support/api.ts';
import { ApiValues } from './api-values.ts';
import type { Schema } from './api-values.ts';

/** A request that is not answered by then is one that hangs, on the slowest machine. */
const hangMs = 60_000;
/** What a stream has to say before it is left. */
const maxBytes = 1 << 16;
/** So many on one store: it is changed by what is right among the requests. */
const requestsPerLab = 300;

/** Server errors that say what is the matter, and are no errors of ours. */
const fineProblems = ['busy', 'no-firewall'];

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly schema: Schema;
}

export interface Finding {
  readonly message: string;
  readonly request: InjectOptions;
}

export class ApiFuzzer {
  readonly #random: () => number;
  #lab: ApiLab | undefined;
  #inLab = 0;
  requests = 0;
  /** Of the document. */
  allRoutes: readonly string[] = [];
  /** Routes that were asked, and how often each status came. */
  readonly routes: Set<string> = new Set<string>();
  readonly statuses: Map<number, number> = new Map<number, number>();

  /** @param random from 0 to 1: the same numbers give the same requests */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Sends one request. @returns what is wrong with its answer */
  async next(): Promise<Finding | undefined> {
    if (this.#inLab >= requestsPerLab) await this.close();
    this.#lab ??= await ApiLab.create({ requestsPerMinute: 1e9 });
    this.#inLab++;
    this.requests++;
    const lab = this.#lab;
    const { request, sender } = this.#request(documentOf(lab.api), lab);
    const message = await Promise.race([this.#judge(lab, request, sender), hangs()]);
    return message === undefined ? undefined : { message, request };
  }

  async close(): Promise<void> {
    await this.#lab?.close();
    this.#lab = undefined;
    this.#inLab = 0;
  }

  async #judge(lab: ApiLab, request: InjectOptions, sender: Sender): Promise<string | undefined> {
    const answer = await lab.api.inject({ ...request, payloadAsStream: true });
    const { statusCode, headers } = answer;
    this.statuses.set(statusCode, 1 + (this.statuses.get(statusCode) ?? 0));
    const body = await beginningOf(answer.stream());
    const [warning] = lab.warnings.splice(0);
    // A request has revoked the token that it came with, or the user: the next ones need another store.
    if (statusCode === 401 && sender !== 'nobody') this.#inLab = requestsPerLab;
    if (warning !== undefined) return `it is warned: ${warning}`;
    if (/^ +at .*:\d+:\d+/m.test(body)) return `a stack trace in the answer: ${body}`;
    const isJson = String(headers['content-type'] ?? '').includes('json');
    const json = isJson && body !== '' ? (JSON.parse(body) as { type?: string }) : undefined;
    const kind = json?.type?.replace('urn:tunwall:problem:', '') ?? '';
    if (statusCode >= 500 && !fineProblems.includes(kind)) return `${statusCode}: ${body}`;
    try {
      // As the request was sent: without the steps up.
      const { pathname } = new URL(request.url as string, 'http://localhost');
      checkAnswer(lab.api, request.method!, pathname, statusCode, json);
    } catch (error) {
      return (error as Error).message;
    }
    return undefined;
  }

  #request(document: Document, lab: ApiLab): { request: InjectOptions; sender: Sender } {
    const values = new ApiValues(this.#random, document.components.schemas);
    const routes = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => ({ path, method, operation })),
    );
    this.allRoutes = routes.map(({ path, method }) => `${method} ${path}`);
    const { path, method, operation } = routes[this.requests % routes.length]!;
    this.routes.add(`${method} ${path}`);
    const sender = values.chance(0.7) ? 'owner' : values.pick([...roles, 'nobody'] as const);
    const headers: Record<string, string> = {
      host: '127.0.0.1:8740',
      accept: values.pick(['*/*', 'application/json', 'text/event-stream', values.headerText()]),
      ...(sender !== 'nobody' && { authorization: tokenOf(sender) }),
    };
    const parameters = (operation['parameters'] ?? []) as Parameter[];
    const url = urlOf(path, parameters, values);
    for (const { name } of parameters.filter((each) => each.in === 'header')) {
      if (values.chance(0.3)) headers[name] = values.headerText();
    }
    if (values.chance(0.1)) headers['if-match'] = values.headerText();
    if (values.chance(0.1)) headers[values.pick(['cookie', 'origin'])] = values.headerText();
    // A capture with no end has none here either.
    lab.observer.captureEnds = true;
    const payload = bodyOf(operation, values);
    if (payload !== undefined) {
      headers['content-type'] = values.chance(0.95) ? 'application/json' : values.headerText();
    }
    const request = {
      ...{ method: method.toUpperCase() as 'GET', url, headers },
      ...(payload !== undefined && { payload }),
    };
    return { request, sender };
  }
}

function urlOf(path: string, parameters: readonly Parameter[], values: ApiValues): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const found = parameters.find((each) => each.in === 'path' && each.name === name);
    return values.urlText(found?.schema ?? {});
  });
  const query = parameters
    .filter((each) => each.in === 'query' && values.chance(0.4))
    .map(({ name, schema }) => `${name}=${values.urlText(schema)}`);
  if (values.chance(0.05)) query.push(`${values.urlText({})}=${values.urlText({})}`);
  return query.length === 0 ? filled : `${filled}?${query.join('&')}`;
}

function bodyOf(operation: Operation, values: ApiValues): string | undefined {
  const { content } = (operation['requestBody'] ?? {}) as {
    content?: Record<string, { schema: Schema }>;
  };
  const schema = Object.values(content ?? {})[0]?.schema;
  if (schema === undefined) return values.chance(0.05) ? values.brokenJson({}) : undefined;
  if (values.chance(0.05)) return undefined;
  const value = values.of(schema);
  return values.chance(0.1) ? values.brokenJson(value) : JSON.stringify(value);
}

async function beginningOf(stream: Readable): Promise<string> {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    text += chunk;
    if (text.length > maxBytes || text.startsWith(': \n')) stream.destroy();
  });
  await new Promise((resolve) => {
    stream.once('close', resolve);
    stream.once('error', resolve);
  });
  return text;
}

async function hangs(): Promise<string> {
  await sleep(hangMs, undefined, { ref: false });
  return `no answer within ${hangMs / 1000} s`;
}
