/** Servers by name and label: found once for a list of servers, and the same for all who ask. */
import { expect, it } from 'vitest';
import { parsePeer } from '../../../src/policy/peers.ts';
import { Resolver } from '../../../src/policy/resolve.ts';
import { parseSelector } from '../../../src/policy/selector.ts';
import { ServerIndex } from '../../../src/policy/server-index.ts';
import type { Rule, Selector, Server, Template } from '../../../src/policy/types.ts';

function selectorOf(text: string): Selector {
  const parsed = parseSelector(text);
  if ('message' in parsed) throw new Error(parsed.message);
  return parsed.value;
}

function ruleFor(text: string): Rule {
  const parsed = parsePeer(text);
  if ('message' in parsed) throw new Error(parsed.message);
  return { protocol: 'icmp', peers: [parsed.value] };
}

/** A list of servers that counts how often labels are looked up. */
function countedServers(count: number): { servers: Server[]; reads: () => number } {
  let reads = 0;
  const servers = Array.from({ length: count }, (_, index): Server => {
    const labels = { role: `r${index % 10}`, number: String(index) };
    const counted = new Proxy(labels, {
      get: (target, key): unknown => (reads++, Reflect.get(target, key)),
    });
    return { name: `s-${index}`, addresses: [index + 1], templates: ['t'], labels: counted };
  });
  return { servers, reads: () => reads };
}

const template = (more: Partial<Template> = {}): Template => ({
  ...{ name: 't', inbound: [ruleFor('label:role=r1')], outbound: [] },
  ...more,
});

it('what has been found for a list of servers is not found again for another template', () => {
  const { servers, reads } = countedServers(1000);
  const applying = template({ name: 'u', appliesTo: [selectorOf('role in (r2,r3)')] });
  const before = new Resolver({ servers, templates: [template(), applying] }, 0);
  const ranges = before.rangesOf(ruleFor('label:role=r1'));
  const looked = reads();
  expect(looked).toBeGreaterThan(0);
  const more = template({ inbound: [ruleFor('label:role=r1'), ruleFor('server:s-7')] });
  const after = new Resolver({ servers, templates: [more, applying] }, 0);
  expect(after.rangesOf(ruleFor('label:role=r1'))).toBe(ranges);
  expect(after.rangesOf(ruleFor('server:s-7'))).toEqual(Uint32Array.of(8, 8));
  for (const [index] of servers.entries()) {
    expect(after.assignmentsOf(index)).toBe(before.assignmentsOf(index));
  }
  expect(reads()).toBe(looked);
});

it('another list is another one, and a group that means the same there is the same object', () => {
  const { servers } = countedServers(100);
  const before = new Resolver({ servers, templates: [] }, 0);
  const next = servers.with(5, { ...servers[5]!, labels: { role: 'r1' } });
  const after = new Resolver({ servers: next, templates: [] }, 0, before);
  const [one, two] = [ruleFor('label:role=r1'), ruleFor('label:role=r2')];
  expect([before.rangesOf(one)!.length, after.rangesOf(one)!.length]).toEqual([20, 22]);
  const was = before.rangesOf(two);
  expect(after.rangesOf(two)).toBe(was);
  // Also for who asks without knowing of the state before.
  const later = new Resolver({ servers: next, templates: [] }, 0);
  expect(later.rangesOf(two)).toBe(was);
});

it('templates apply by their selectors, whatever was asked before', () => {
  const { servers } = countedServers(20);
  const index = ServerIndex.of(servers);
  const names = (...appliesTo: string[]): string[] =>
    index
      .assignments([template({ name: 'u', appliesTo: appliesTo.map(selectorOf) })])
      .flatMap((own, server) => (own.length > 1 ? [servers[server]!.name] : []));
  expect(names('role=r1')).toEqual(['s-1', 's-11']);
  expect(names('number=3', 'role=r1')).toEqual(['s-1', 's-3', 's-11']);
  expect(names()).toEqual([]);
  expect(names('role=r1')).toEqual(['s-1', 's-11']);
});

it('very many selectors are answered, and not all of them kept', () => {
  const { servers, reads } = countedServers(2000);
  const index = ServerIndex.of(servers);
  const ask = (number: number): number => index.selected(selectorOf(`number!=${number}`)).length;
  for (let number = 0; number < 1000; number++) expect(ask(number)).toBe(1999);
  const looked = reads();
  expect(ask(999)).toBe(1999);
  expect(reads()).toBe(looked);
  // Of those that were given up.
  expect(ask(0)).toBe(1999);
  expect(reads()).toBeGreaterThan(looked);
});
