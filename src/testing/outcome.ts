/** What the firewall did with what was sent, and why. */
import { sentenceOf } from '../policy/drop-sentences.ts';
import { explainPacket } from '../policy/explain.ts';
import type { ExplainSource } from '../policy/explain.ts';
import { explanationLines } from '../policy/explanation-text.ts';
import type { ExplainAnswer } from '../policy/explanation-text.ts';
import { DropReason, dropReasonNames } from '../dataplane/wire/drop-reason.ts';
import type { DropReasonName } from '../dataplane/wire/drop-reason.ts';

export type { DropReasonName } from '../dataplane/wire/drop-reason.ts';

export type Verdict = 'pass' | 'drop' | 'held';

/** One packet, and its verdict. */
export interface SentPacket {
  readonly packet: Uint8Array;
  /** `held`: a fragment that waits for the rest of its datagram. */
  readonly verdict: Verdict;
  /** Of a drop; `would-drop`: it passes because its server observes. */
  readonly reason?: DropReasonName;
}

export type TemplateFiles = Omit<ExplainAnswer, 'explanation'>;

/** What became of the packets of one `send`. */
export class Outcome {
  /** One for each packet, in order. */
  readonly packets: readonly SentPacket[];
  /**
   * All that left the firewall: what passed, with the fragments that waited for it, and the RSTs and ICMP errors with which
   * `reject` answers.
   */
  readonly written: readonly Uint8Array[];
  readonly #source: ExplainSource;
  readonly #templates: TemplateFiles;

  /** @internal */
  constructor(
    packets: readonly SentPacket[],
    written: readonly Uint8Array[],
    source: ExplainSource,
    templates: TemplateFiles,
  ) {
    this.packets = packets;
    this.written = written;
    this.#source = source;
    this.#templates = templates;
  }

  /** The packet that decides: the first that was dropped, else the last one. */
  get #decisive(): SentPacket | undefined {
    return this.packets.find(({ verdict }) => verdict === 'drop') ?? this.packets.at(-1);
  }

  /** `drop` if any packet was dropped; `held` if the last one waits for more fragments; else `pass`. */
  get verdict(): Verdict {
    return this.#decisive?.verdict ?? 'pass';
  }

  /** Of the first packet that was dropped; `would-drop` of one that passes because its server observes. */
  get reason(): DropReasonName | undefined {
    return this.#decisive?.reason;
  }

  /**
   * What `tunwall explain` says of the packet that decides, with the rules of the moment when it was sent: the rule that
   * allows it, or the nearest one and what of it fails.
   */
  explanation(): string {
    const decisive = this.#decisive;
    if (decisive === undefined) return 'nothing was sent';
    const { packet, verdict, reason = 'none' } = decisive;
    const alone = explainPacket(this.#source, packet);
    // Rules are asked about what opens a flow. Where the engine says something else, a flow has decided, or a whole datagram.
    const explanation =
      alone.reason === reason || (alone.verdict === 'held' && verdict !== 'drop')
        ? { ...alone, verdict }
        : {
            ...alone,
            verdict,
            reason,
            message: sentenceOf(dropReasonNames.indexOf(reason)),
            decidedBy: alone.verdict === 'held' ? ('rules' as const) : ('flow' as const),
          };
    const lines = explanationLines({ explanation, ...this.#templates }, (_, text) => text);
    const position = this.packets.indexOf(decisive) + 1;
    const which =
      this.packets.length === 1 ? [] : [`packet ${position} of ${this.packets.length}:`];
    return [...which, ...lines.map(({ plain }) => plain)].join('\n');
  }
}

/** The name of a reason's code; undefined for a packet that was not dropped. */
export function reasonName(code: number): DropReasonName | undefined {
  return code === DropReason.none ? undefined : (dropReasonNames[code] as DropReasonName);
}
