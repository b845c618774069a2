/**
 * Which packets that open a flow the conditions of an iptables rule match: boxes, and conditions that templates do not
 * have. What no opening packet can meet (state ESTABLISHED, the loopback interface, another protocol) is `outside`.
 */
import { canCome, everything, intersectBoxes } from './box.ts';
import type { Box, BoxProtocol, Side } from './box.ts';
import { joinConditions } from './reading.ts';
import type { Condition } from './reading.ts';
import type { Range } from './range-lists.ts';

/** Where packets meet the rules: those of the host's own, and those that it forwards. */
export type Hook = 'INPUT' | 'FORWARD' | 'OUTPUT';

export interface MatchContext {
  readonly hook: Hook;
  /** Where the host's packets come in and go out; absent: that is not known. */
  readonly interface?: string;
  /** In the table raw, before connection tracking. */
  readonly untracked: boolean;
}

/** Why no packet that opens a flow is meant, and what an ACCEPT with it is worth a remark. */
export interface Outside {
  readonly severity: 'lost' | 'note' | 'silent';
  readonly message: string;
}

export interface Match {
  readonly boxes: readonly Box[];
  readonly when: readonly Condition[];
  readonly outside?: Outside;
  /** Whether packets of established flows can meet it: a drop would take replies too. */
  readonly established: boolean;
}

export const anything: Match = { boxes: everything, when: [], established: true };

const never: Outside = {
  severity: 'note',
  message: 'it can never match: its conditions exclude each other',
};

const martian: Outside = {
  severity: 'note',
  message: 'packets with such addresses never come through the firewall',
};

/** What meets both: a rule in a chain that another rule jumps to. */
export function intersect(a: Match, b: Match): Match {
  const boxes = intersectBoxes(a.boxes, b.boxes);
  const joined = joinConditions(a.when, b.when);
  const excluded = boxes.length === 0 || joined === undefined;
  const outside = a.outside ?? b.outside ?? (excluded ? never : outsideOf(boxes));
  return {
    boxes,
    when: joined ?? [],
    ...(outside !== undefined && { outside }),
    established: a.established && b.established && outside !== never && outside !== martian,
  };
}

function outsideOf(boxes: readonly Box[]): Outside | undefined {
  return boxes.some(canCome) ? undefined : martian;
}

/** A rule while its options are read. */
export class MatchReader {
  readonly context: MatchContext;
  readonly line: number;
  readonly vague: string[] = [];
  match: Match = anything;

  constructor(context: MatchContext, line: number) {
    this.context = context;
    this.line = line;
  }

  narrow(by: Partial<Match>): void {
    this.match = intersect(this.match, { ...anything, ...by });
  }

  side(side: Side, set: readonly Range[]): void {
    this.narrow({ boxes: everything.map((box) => ({ ...box, [side]: set })) });
  }

  protocols(protocols: readonly BoxProtocol[]): void {
    this.narrow({ boxes: everything.filter(({ protocol }) => protocols.includes(protocol)) });
  }

  /** Something that is the same for a packet wherever it is asked, so that it and its opposite cancel. */
  fact(words: string, negated: boolean): void {
    const condition = { key: words, negated, words: negated ? `! ${words}` : words };
    this.narrow({ when: [condition] });
  }

  /** Something of which each asking has an answer of its own: a limit, a set that changes. */
  doubt(words: string, negated: boolean): void {
    this.vague.push(negated ? `! ${words}` : words);
  }

  never(severity: Outside['severity'], message: string, established: boolean): void {
    this.narrow({ outside: { severity, message }, established });
  }

  /** Protocols that are left. */
  has(protocol: BoxProtocol): boolean {
    return this.match.boxes.some((box) => box.protocol === protocol);
  }
}
