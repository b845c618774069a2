/**
 * The way of an opening packet through a built-in chain of iptables and the chains that it jumps to, for all packets at
 * once. What comes of it is a list of readings in the order of the rules: what is accepted, what is dropped, and what
 * nobody knows.
 *
 * What leaves a chain early (RETURN, goto) is remembered until the chain ends. In other tables than filter ACCEPT only
 * means that the packet goes on to the next table.
 */
import { allAddresses, everything } from './box.ts';
import type { Box } from './box.ts';
import { ImportError } from './import-result.ts';
import type { Remarks } from './import-result.ts';
import { anything, intersect } from './iptables-match.ts';
import type { Match, MatchContext } from './iptables-match.ts';
import { readMatch } from './iptables-options.ts';
import type { IptablesChain, IptablesRule, IptablesTable } from './iptables-parse.ts';
import { translatedBoxes } from './iptables-translation.ts';
import { passingTargets } from './iptables-vocabulary.ts';
import { rangesCover } from './range-lists.ts';
import { Taken, tooManyPieces } from './reading.ts';
import type { Piece, Reading } from './reading.ts';

export interface IptablesReading extends Reading {
  readonly comment?: string;
  /** Of an allow: whether it is for protocols that templates do not have, too. */
  readonly otherProtocols: boolean;
}

/** iptables refuses loops; a file need not. */
const maxDepth = 64;
/** A chain that many rules jump to is walked for each of them. */
const maxSteps = 500_000;

/** A chain that is being walked. */
class Scope {
  /** What has left it. */
  readonly taken = new Taken();
  /** Whether replies have left it. */
  replies = false;
}

export class ChainWalk {
  readonly readings: IptablesReading[] = [];
  /** Accepting rules that came to nothing before they could become readings. */
  lostAccepts = 0;
  readonly #chains: IptablesTable;
  readonly #decides: boolean;
  readonly #context: MatchContext;
  readonly #remarks: Remarks;
  readonly #matches = new Map<IptablesRule, { match: Match; vague: readonly string[] }>();
  /** What has gone on to the next table. */
  readonly #gone = new Scope();
  /** Whether replies of every flow have been accepted. */
  #repliesPass = false;
  /** Whether a rule drops everything that has come so far, replies, too. */
  #allDropped = false;
  /** Rules that drop replies, too: from any port, and from well-known ports only. */
  readonly #replyDrops: Readonly<Record<'lost' | 'note', { line: number; name: string }[]>> = {
    lost: [],
    note: [],
  };
  #steps = 0;

  /** @param decides whether ACCEPT means that the packet passes: the table is filter */
  constructor(chains: IptablesTable, decides: boolean, context: MatchContext, remarks: Remarks) {
    this.#chains = chains;
    this.#decides = decides;
    this.#context = context;
    this.#remarks = remarks;
  }

  /** Walks a built-in chain to its policy. Once. */
  run(chain: IptablesChain): IptablesReading[] {
    this.#walk(chain, anything, [new Scope()], 0);
    const rule: IptablesRule = {
      line: chain.line,
      options: [],
      targetOptions: [],
      goto: false,
      comment: `${chain.name} accepts by policy`,
      target: `policy ${chain.policy!}`,
    };
    // What returns from a built-in chain meets its policy.
    if (chain.policy !== 'ACCEPT') {
      if (!this.#decides) this.#deny(rule, anything, [], 'deny');
    } else if (this.#decides) {
      this.#accept(rule, anything, []);
    }
    this.#reportReplies(chain);
    return this.readings;
  }

  #walk(chain: IptablesChain, parent: Match, scopes: readonly Scope[], depth: number): void {
    for (const rule of chain.rules) {
      this.#steps++;
      if (this.#steps > maxSteps || depth > maxDepth) {
        throw new ImportError(
          `line ${rule.line}: the chains jump to each other too often`,
          'import them one by one, or flatten them first',
        );
      }
      // A rule without a target only counts.
      if (rule.target !== undefined || rule.unknown !== undefined) {
        this.#step(rule, intersect(parent, this.#matchOf(rule)), scopes, depth);
      }
    }
  }

  /** A vague part of a rule may differ each time: two answers need not be the same. */
  #matchOf(rule: IptablesRule): Match {
    let read = this.#matches.get(rule);
    if (read === undefined) {
      const { match, vague } = readMatch(rule, this.#context);
      read = { match, vague };
      this.#matches.set(rule, read);
    }
    const { match, vague } = read;
    if (vague.length === 0) return match;
    const key = `line ${rule.line}, step ${this.#steps}`;
    return { ...match, when: [...match.when, { key, negated: false, words: vague.join('; ') }] };
  }

  #step(rule: IptablesRule, match: Match, scopes: readonly Scope[], depth: number): void {
    const { target = '', line, goto: goesTo } = rule;
    const scope = scopes.at(-1)!;
    const chain = this.#chains.get(target);
    if (chain !== undefined && chain.policy === undefined) {
      const { outside, established } = match;
      if (outside?.severity === 'note' && !established) {
        this.#remarks.note(`line ${line}`, outside.message);
        return;
      }
      this.#walk(chain, match, [...scopes, new Scope()], depth + 1);
      if (goesTo) this.#leave(rule, match, scope);
    } else if (passingTargets.has(target) && !goesTo) {
      return;
    } else if (target === 'RETURN') {
      this.#leave(rule, match, scope);
    } else if (target === 'ACCEPT' && !goesTo) {
      if (this.#decides) this.#accept(rule, match, scopes);
      else this.#goOn(rule, match, scopes);
    } else if (target === 'DROP' || target === 'REJECT') {
      this.#deny(rule, match, scopes, 'deny');
    } else this.#special(rule, match, scopes);
  }

  /** Targets that do something else to a packet, and those that are not known: they may drop. */
  #special(rule: IptablesRule, match: Match, scopes: readonly Scope[]): void {
    const { target, line, unknown, targetOptions } = rule;
    if (target === 'CT' && !targetOptions.some(({ name }) => name === '--notrack')) return;
    if (target === 'SNAT' || target === 'MASQUERADE') {
      this.#goOn(rule, match, scopes);
      return;
    }
    if (match.outside !== undefined) return;
    const place = `line ${line}`;
    const translated = translatedBoxes(rule, match.boxes, this.#context.hook);
    if (translated !== undefined) {
      this.#remarks.lost(place, `${target!} sends packets elsewhere: neither is imported`);
      const pieces = translated.map((box) => ({ box, when: match.when }));
      this.#push(rule, 'unknown', pieces);
    } else if (target === undefined) {
      this.#remarks.lost(place, `${unknown!}: not known, it may drop`);
    } else {
      this.#remarks.lost(place, `what the target ${target} does is not known: it may drop`);
    }
    // Replies are translated back by the connection's record, not by rules.
    const established = match.established && translated === undefined;
    // What is not known of a rule without a target is a condition of its match already.
    const action = target === undefined ? 'deny' : 'unknown';
    this.#deny(rule, { ...match, established }, scopes, action);
    if (translated !== undefined) this.#goOn(rule, match, scopes);
  }

  /** What is left of the match's boxes in these chains; undefined if that is too much to say. */
  #left({ boxes, when }: Match, scopes: readonly Scope[]): Piece[] | undefined {
    let pieces: Piece[] | undefined = boxes.map((box) => ({ box, when }));
    for (const { taken } of [this.#gone, ...scopes]) {
      pieces = pieces && taken.subtractFrom(pieces);
    }
    return pieces;
  }

  #leave(rule: IptablesRule, match: Match, scope: Scope): void {
    const { boxes, when, outside, established } = match;
    if (established && !this.#repliesPass) scope.replies = true;
    if (outside !== undefined) return;
    const by = { place: `line ${rule.line}`, name: rule.target! };
    for (const box of boxes) scope.taken.add({ box, when }, by);
  }

  /** To the next table. What has left a chain before comes to none of its rules. */
  #goOn(rule: IptablesRule, match: Match, scopes: readonly Scope[]): void {
    if (isWhole(match) && this.#isUntouched(scopes)) this.#repliesPass = true;
    if (match.outside !== undefined) return;
    const by = { place: `line ${rule.line}`, name: rule.target! };
    // What is too much to say has gone nowhere: then more is taken, not less.
    for (const piece of this.#left(match, scopes) ?? []) this.#gone.taken.add(piece, by);
  }

  /** Whether everything comes as far as this, drops aside that are reported by themselves. */
  #isUntouched(scopes: readonly Scope[]): boolean {
    if (this.#allDropped) return false;
    return [this.#gone, ...scopes].every(({ taken, replies }) => taken.isEmpty && !replies);
  }

  #push(
    { line, target = '?', comment }: IptablesRule,
    action: Reading['action'],
    pieces: readonly Piece[],
    otherProtocols = false,
  ): void {
    this.readings.push({
      action,
      pieces,
      place: `line ${line}`,
      name: target,
      otherProtocols,
      ...(comment !== undefined && { comment }),
    });
  }

  #deny(
    rule: IptablesRule,
    match: Match,
    scopes: readonly Scope[],
    action: 'deny' | 'unknown',
  ): void {
    this.#dropReplies(rule, match);
    const { outside, boxes, when } = match;
    if (outside !== undefined) {
      if (outside.severity === 'note') this.#remarks.note(`line ${rule.line}`, outside.message);
      return;
    }
    const pieces = this.#left(match, scopes);
    this.#push(rule, action, pieces ?? boxes.map((box) => ({ box, when })));
  }

  #accept(rule: IptablesRule, match: Match, scopes: readonly Scope[]): void {
    const { outside } = match;
    const place = `line ${rule.line}`;
    if (isWhole(match) && this.#isUntouched(scopes)) this.#repliesPass = true;
    if (outside !== undefined) {
      if (outside.severity !== 'silent') this.#remarks[outside.severity](place, outside.message);
      if (outside.severity === 'lost') this.lostAccepts++;
      return;
    }
    const pieces = this.#left(match, scopes);
    if (pieces === undefined) {
      this.#remarks.lost(place, tooManyPieces);
      this.lostAccepts++;
    } else if (pieces.length === 0) {
      const by = scopes.map(({ taken }) => taken.firstFrom(match.boxes)).find(Boolean)!;
      const text = `never reached: ${by.place} (${by.name}) takes all of it before`;
      this.#remarks.note(place, text);
    } else {
      const protocols = new Set(match.boxes.map(({ protocol }) => protocol));
      this.#push(rule, 'allow', pieces, protocols.size > 1);
    }
  }

  /** A drop without a state takes replies, too, unless they were accepted before. */
  #dropReplies({ line, target = '?' }: IptablesRule, match: Match): void {
    if (!match.established || this.#repliesPass) return;
    // The end of a chain is reported once, as a whole.
    if (this.#decides && isWhole(match)) {
      this.#allDropped = true;
      return;
    }
    const severity = match.boxes.every(isWellKnown) ? 'note' : 'lost';
    this.#replyDrops[severity].push({ line, name: target });
  }

  #reportReplies(chain: IptablesChain): void {
    for (const severity of ['lost', 'note'] as const) {
      const [first, ...others] = this.#replyDrops[severity];
      if (first === undefined) continue;
      const from = severity === 'note' ? ' that a server opens from its ports below 1024' : '';
      const more = others.length === 0 ? '' : ` (and ${others.length} more rules)`;
      const text = `${first.name} takes replies of allowed flows${from}, too: here they always pass${more}`;
      this.#remarks[severity](`line ${first.line}`, text);
    }
    if (this.#accepts) this.#reportNoReplies('lost', chain);
  }

  get #accepts(): boolean {
    return this.readings.some(({ action }) => action === 'allow');
  }

  /** Flows are allowed whose replies go through this chain. */
  reportAnswers(chain: IptablesChain): void {
    if (!this.#accepts) this.#reportNoReplies('note', chain);
  }

  #reportNoReplies(severity: 'lost' | 'note', { line, name }: IptablesChain): void {
    if (!this.#decides || this.#repliesPass) return;
    this.#remarks[severity](
      `line ${line}`,
      `${name} does not accept all replies (state ESTABLISHED): here replies of an allowed flow always pass`,
    );
  }
}

/** Whether every packet of live flows is meant. */
function isWhole({ boxes, when, established }: Match): boolean {
  const isAll = everything.every((whole) =>
    boxes.some(
      (box) =>
        box.protocol === whole.protocol &&
        rangesCover(box.ports, whole.ports) &&
        rangesCover(box.sources, allAddresses) &&
        rangesCover(box.destinations, allAddresses),
    ),
  );
  return established && when.length === 0 && isAll;
}

/** Ports from which a server does not usually open connections. */
function isWellKnown({ protocol, ports }: Box): boolean {
  return protocol !== 'icmp' && rangesCover([{ from: 0, to: 1023 }], ports);
}
