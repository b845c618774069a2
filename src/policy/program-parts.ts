/**
 * The parts of compiled policies: large sets, programs of templates, programs of servers. A part is there while a policy uses it, and
 * policies that mean the same by it share it.
 *
 * Invariant: whoever takes a part gives it back once. A part that nobody has any more is freed at that moment.
 */
import { ProgramWord } from '../dataplane/match/matcher.ts';
import { directions } from '../text/rule-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import { writeProgram, writeSharedSet } from './classifier.ts';
import { NumberRanges } from './number-ranges.ts';
import { isGroup } from './peers.ts';
import { BlockWriter, ProgramMemory } from './program-memory.ts';
import type { Block, UseLargePages } from './program-memory.ts';
import type { Ranges } from './ranges.ts';
import type { Resolver } from './resolve.ts';
import { linesOf } from './rule-lines.ts';
import type { Rule, Template } from './types.ts';

/** A rule in its place. */
export interface RulePlace {
  /** By which a match names it. It stays while the template does not change. */
  readonly index: number;
  readonly template: string;
  readonly direction: RuleDirection;
  /** Position in the template's list of that direction, from 0. */
  readonly position: number;
  /** In the template's file, from 1; absent: it was not read from one. */
  readonly line?: number;
  readonly rule: Rule;
  /** Addresses that it is about now; absent: any. */
  readonly ranges?: Ranges;
  /** `false`: it is switched off or has expired, and allows nothing. */
  readonly live: boolean;
}

/**
 * Servers with few rules, or with many templates, get a program that is compiled of all their templates. The others refer to
 * those of their templates: ten thousand servers with other sets of large templates each would need as many large programs.
 */
const mergedUpTo = 64;
const mostReferred = 8;

interface SharedSet {
  readonly ranges: Ranges;
  readonly block: Block;
  users: number;
}

/** A block, and the sets that it refers to. */
interface Written {
  readonly block: Block;
  readonly sets: readonly SharedSet[];
}

/** A template with what its rules mean now. */
export interface TemplatePart {
  /** Never used for another one. */
  readonly id: number;
  readonly template: Template;
  /** Inbound, then outbound; their indices follow each other. */
  readonly places: readonly RulePlace[];
  /** Index of the first rule. */
  readonly first: number;
  /** Those with an end. */
  readonly expiring: readonly RulePlace[];
  /** Indices of live rules whose flows are logged when they begin. */
  readonly logged: readonly number[];
  /** Those whose meaning depends on other files or on the time. */
  readonly variable: readonly RulePlace[];
  /** Written for the first server that refers to it. */
  program: Written | undefined;
  users: number;
}

/** What the servers with the same templates have. */
export interface ServerProgram {
  readonly key: string;
  readonly written: Written;
  users: number;
}

export class ProgramParts {
  readonly memory: ProgramMemory;
  readonly #writer: BlockWriter = new BlockWriter();
  readonly #setWriter: BlockWriter = new BlockWriter();
  readonly #sets: Map<Ranges, SharedSet> = new Map<Ranges, SharedSet>();
  /** By the template's name: more than one when policies differ in it. */
  readonly #templates: Map<string, TemplatePart[]> = new Map<string, TemplatePart[]>();
  readonly #programs: Map<string, ServerProgram> = new Map<string, ServerProgram>();
  readonly #indices: NumberRanges = new NumberRanges();
  #lastId = 0;

  constructor(useLargePages: UseLargePages | undefined) {
    this.memory = new ProgramMemory(useLargePages);
  }

  /** Above the indices of all rules. */
  get ruleCount(): number {
    return this.#indices.end;
  }

  takeTemplate(template: Template, resolver: Resolver): TemplatePart {
    const known = this.#templates.get(template.name) ?? [];
    let part = known.find((each) => isSame(each, template, resolver));
    if (part === undefined) {
      part = this.#newPart(template, resolver);
      this.#templates.set(template.name, [...known, part]);
    }
    part.users++;
    return part;
  }

  giveTemplate(part: TemplatePart): void {
    if (--part.users > 0) return;
    const { name } = part.template;
    const others = this.#templates.get(name)!.filter((each) => each !== part);
    if (others.length === 0) this.#templates.delete(name);
    else this.#templates.set(name, others);
    if (part.program !== undefined) this.#free(part.program);
    this.#indices.give(part.first, part.places.length);
  }

  /** @param parts of a server's templates, each once, in an order that depends on their names only */
  takeProgram(parts: readonly TemplatePart[]): ServerProgram {
    const key = parts.map(({ id }) => id).join();
    let program = this.#programs.get(key);
    if (program === undefined) {
      const rules = parts.reduce((sum, { places }) => sum + places.length, 0);
      const refers = parts.length === 1 || (rules > mergedUpTo && parts.length <= mostReferred);
      const written = refers
        ? this.#writeReferring(parts)
        : this.#write(parts.flatMap(({ places }) => places));
      program = { key, written, users: 0 };
      this.#programs.set(key, program);
    }
    program.users++;
    return program;
  }

  giveProgram(program: ServerProgram): void {
    if (--program.users > 0) return;
    this.#programs.delete(program.key);
    this.#free(program.written);
  }

  #newPart(template: Template, resolver: Resolver): TemplatePart {
    const { name } = template;
    const first = this.#indices.take(template.inbound.length + template.outbound.length);
    const places: RulePlace[] = [];
    for (const direction of directions) {
      const lines = linesOf(template[direction]);
      template[direction].forEach((rule, position) => {
        const index = first + places.length;
        places.push(placeOf(index, name, direction, position, lines?.[position], rule, resolver));
      });
    }
    const variable = places.filter(({ rule }) => !isConstantRule(rule));
    const expiring = places.filter(({ rule }) => rule.expires !== undefined);
    const logged = places.filter(({ rule, live }) => rule.log === true && live);
    return {
      id: ++this.#lastId,
      template,
      places,
      first,
      expiring,
      logged: logged.map(({ index }) => index),
      variable,
      program: undefined,
      users: 0,
    };
  }

  /** The program of some rules, in a block of its own. */
  #write(places: readonly RulePlace[]): Written {
    const writer = this.#writer;
    const sets: SharedSet[] = [];
    writer.clear();
    writeProgram(writer, places, (ranges) => {
      const set = this.#takeSet(ranges);
      sets.push(set);
      return set.block.offset;
    });
    return { block: this.memory.place(writer), sets };
  }

  /** The programs of templates one behind the other: each refers to the template's classifiers. */
  #writeReferring(parts: readonly TemplatePart[]): Written {
    const programs = parts.map((part) => (part.program ??= this.#write(part.places)));
    const { words } = this.memory;
    const writer = this.#writer;
    writer.clear();
    programs.forEach(({ block }, index) => {
      const at = writer.append(words.subarray(block.offset, block.offset + ProgramWord.length));
      writer.set(at + ProgramWord.more, index + 1 < programs.length ? 1 : 0);
    });
    return { block: this.memory.place(writer), sets: [] };
  }

  #takeSet(ranges: Ranges): SharedSet {
    let set = this.#sets.get(ranges);
    if (set === undefined) {
      this.#setWriter.clear();
      writeSharedSet(this.#setWriter, ranges);
      set = { ranges, block: this.memory.place(this.#setWriter), users: 0 };
      this.#sets.set(ranges, set);
    }
    set.users++;
    return set;
  }

  #free({ block, sets }: Written): void {
    this.memory.free(block);
    for (const set of sets) {
      if (--set.users > 0) continue;
      this.#sets.delete(set.ranges);
      this.memory.free(set.block);
    }
  }
}

/** Written out: each spread of an object would get a hidden class of its own, and there may be very many rules. */
function placeOf(
  index: number,
  template: string,
  direction: RuleDirection,
  position: number,
  line: number | undefined,
  rule: Rule,
  resolver: Resolver,
): RulePlace {
  const live = resolver.isLive(rule);
  const ranges = resolver.rangesOf(rule);
  if (line === undefined) {
    return ranges === undefined
      ? { index, template, direction, position, rule, live }
      : { index, template, direction, position, rule, live, ranges };
  }
  return ranges === undefined
    ? { index, template, direction, position, line, rule, live }
    : { index, template, direction, position, line, rule, live, ranges };
}

function isConstantRule({ peers = [], except = [], expires }: Rule): boolean {
  return expires === undefined && !peers.some(isGroup) && !except.some(isGroup);
}

function isSame(part: TemplatePart, template: Template, resolver: Resolver): boolean {
  if (part.template !== template) return false;
  return part.variable.every(
    ({ rule, live, ranges }) =>
      resolver.isLive(rule) === live && resolver.rangesOf(rule) === ranges,
  );
}
