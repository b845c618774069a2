/**
 * Whether what files name is there: servers, templates and sets, known only when all files have been read.
 *
 * A group that does not exist would silently have no members, and an `except` of it would take nothing away. So it is an error.
 * A selector that matches no server is a warning: the first server with the label may come tomorrow.
 */
import { ProblemList, didYouMean } from './problem.ts';
import type { Message } from './problem.ts';
import { Resolver } from './resolve.ts';
import type { GroupPeer, PolicySource, Problem } from './types.ts';
import type { Reference } from './yaml-fields.ts';

/** Problems of references, file by file. */
export function checkReferences(source: PolicySource, references: readonly Reference[]): Problem[] {
  if (references.length === 0) return [];
  const judge = judgeOf(source);
  const lists = new Map<string, ProblemList>();
  for (const reference of references) {
    const found = judge(reference.group);
    if (found === undefined) continue;
    const { file } = reference;
    const list = lists.get(file) ?? new ProblemList(file);
    lists.set(file, list);
    list.add(found.severity, () => reference, found.message);
  }
  return [...lists.values()].flatMap(({ all }) => all);
}

interface Judgement {
  readonly severity: Problem['severity'];
  readonly message: Message;
}

/** What is wrong with a group of this source. Each group is judged once, however often it is named. */
export function judgeOf(source: PolicySource): (group: GroupPeer) => Judgement | undefined {
  const judge = judgeAnew(source);
  const known = new Map<string, Judgement | undefined>();
  return (group) => {
    const key = `${group.kind} ${group.text}`;
    if (!known.has(key)) known.set(key, judge(group));
    return known.get(key);
  };
}

function judgeAnew(source: PolicySource): (group: GroupPeer) => Judgement | undefined {
  const names = {
    server: new Set(source.servers.map(({ name }) => name)),
    template: new Set(source.templates.map(({ name }) => name)),
    set: new Set((source.sets ?? []).map(({ name }) => name)),
  };
  const includes = new Map((source.sets ?? []).map(({ name, include }) => [name, include]));
  const resolver = new Resolver(source, 0);
  return (group) => {
    if (group.kind === 'label') {
      if (resolver.selected(group.selector).length > 0) return undefined;
      const message = `no server matches "${group.selector.text}": it means nobody until one does`;
      return { severity: 'warning', message };
    }
    const { kind, name } = group;
    if (names[kind].has(name)) {
      const circle = kind === 'set' ? circleFrom(name, includes) : undefined;
      if (circle === undefined) return undefined;
      return { severity: 'error', message: `sets contain each other: ${circle.join(' → ')}` };
    }
    const message = (): string => `there is no ${kind} "${name}"${didYouMean(name, names[kind])}`;
    return { severity: 'error', message };
  };
}

/** The way from a set back to itself, if there is one. */
function circleFrom(
  start: string,
  includes: ReadonlyMap<string, readonly string[]>,
): string[] | undefined {
  const seen = new Set<string>();
  const walk = (name: string, way: readonly string[]): string[] | undefined => {
    for (const next of includes.get(name) ?? []) {
      if (next === start) return [...way, next];
      if (seen.has(next)) continue;
      seen.add(next);
      const found = walk(next, [...way, next]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return walk(start, [start]);
}
