/**
 * Tracked flows as both filters tell them, in one form:
 *
 *     tcp 20.0.0.1:40000 > 10.0.0.2:443 established replied assured, 300 s
 *
 * The time is what is left; for the other protocols, which have no states to compare, it is not looked at.
 */
import type { FlowIndex } from '../../src/dataplane/flow/flow-record.ts';
import { Hot, StateBits, flowStateNames, hotShift } from '../../src/dataplane/flow/flow-record.ts';
import { requestTypeOf } from '../../src/dataplane/flow/icmp-query.ts';
import type { EngineFixture } from '../support/engine-fixture.ts';

export interface Flow {
  /** Outside address: by it a conversation is found. */
  readonly outside: string;
  /** All but the time. */
  readonly text: string;
  readonly leftSeconds: number | undefined;
}

const line =
  /^(tcp|udp|icmp) +\d+ (\d+) (?:([A-Z_0-9]+) )?src=(\S+) dst=(\S+) (?:sport=(\d+) dport=(\d+)|type=(\d+) code=(\d+) id=(\d+)) (\[UNREPLIED\] )?.*?(\[ASSURED\])?(?: mark=.*)?$/;

/** The output of `conntrack -L`. */
export function kernelFlows(listing: string): Flow[] {
  const flows: Flow[] = [];
  for (const text of listing.split('\n')) {
    if (text === '') continue;
    // Other protocols do not pass; what Linux tracks of them it takes for its own, a broadcast for one.
    if (!/^(?:tcp|udp|icmp) /.test(text)) continue;
    const found = line.exec(text);
    if (found === null) throw new Error(`conntrack -L prints what we do not know: ${text}`);
    const [, protocol, seconds, state, src, dst, sport, dport, type, code, id] = found;
    const unreplied = found[11] !== undefined;
    flows.push({
      outside: src!.startsWith('10.') ? dst! : src!,
      text:
        protocol === 'icmp'
          ? describeIcmp(src!, dst!, Number(type), Number(code), Number(id), !unreplied)
          : describe(
              protocol!,
              `${src!}:${sport!} > ${dst!}:${dport!}`,
              state?.toLowerCase(),
              !unreplied,
              text.includes('[ASSURED]'),
            ),
      leftSeconds: protocol === 'tcp' ? Number(seconds) : undefined,
    });
  }
  return flows;
}

function describe(
  protocol: string,
  ends: string,
  state: string | undefined,
  replied: boolean,
  assured: boolean,
): string {
  const words = [protocol, ends];
  if (state !== undefined) words.push(state);
  if (replied) words.push('replied');
  if (assured && protocol === 'tcp') words.push('assured');
  return words.join(' ');
}

function describeIcmp(
  src: string,
  dst: string,
  type: number,
  code: number,
  id: number,
  replied: boolean,
): string {
  return describe(
    'icmp',
    `${src} > ${dst} type ${type} code ${code} id ${id}`,
    undefined,
    replied,
    false,
  );
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** The flows of our table that are not over by now. */
export function engineFlows(fixture: EngineFixture): Flow[] {
  const { table } = fixture.engine;
  // What the kernel has carried is noted within ten ticks.
  if (table.carried !== undefined) {
    for (let tick = 0; tick < 10; tick++) fixture.engine.tick(fixture.nowMs);
  }
  const flows: Flow[] = [];
  for (const flow of fixture.check()) {
    const record = flow << hotShift;
    const word = (at: number): number => table.hot[record + at]!;
    if (table.isExpired(flow as FlowIndex, fixture.nowMs)) continue;
    const src = dotted(word(Hot.originalAddr));
    const dst = dotted(word(Hot.replyAddr));
    const ports = word(Hot.ports);
    const kind = word(Hot.kind);
    const state = word(Hot.state);
    const replied = (state & StateBits.seenReply) !== 0;
    const protocol = kind & 0xff;
    const list = (state & StateBits.listMask) >> StateBits.listShift;
    const idleMs = (fixture.nowMs - word(Hot.lastRefresh)) | 0;
    flows.push({
      outside: src.startsWith('10.') ? dst : src,
      text:
        protocol === 1
          ? describeIcmp(src, dst, requestTypeOf(kind), (kind >> 16) & 255, ports >>> 16, replied)
          : describe(
              protocol === 6 ? 'tcp' : 'udp',
              `${src}:${ports >>> 16} > ${dst}:${ports & 0xffff}`,
              protocol === 6 ? flowStateNames[state & StateBits.stateMask] : undefined,
              replied,
              (state & StateBits.assured) !== 0,
            ),
      leftSeconds: protocol === 6 ? (table.configuredMs[list]! - idleMs) / 1000 : undefined,
    });
  }
  return flows;
}
