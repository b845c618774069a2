/**
 * TCP conversations as text, a segment a line:
 *
 *     > S  seq=100 win=1000 ws=7 sackok   pass syn_sent
 *     < SA seq=300 ack=101                pass syn_recv
 *     wait 10
 *
 * `>` goes from client to server, `<` back. `len=` is payload, `sack=l-r` a SACK block, `win=` the raw window (default
 * 8192), `partial` a checksum left to the kernel. Behind it the expected verdict (`pass` or a drop reason) and the flow's
 * state; `-` means that no flow is left. `wait` lets seconds go by. Lines that start with # explain.
 */
import { expect } from 'vitest';
import {
  Hot,
  StateBits,
  flowStateNames,
  hotShift,
  noFlow,
} from '../../src/dataplane/flow/flow-record.ts';
import type { EngineFixture } from './engine-fixture.ts';
import { addressToInt, sackOption, synOptions, tcpPacket } from '../../src/testing/packets.ts';

export const client = '198.51.100.2';
export const server = '10.0.0.2';
const clientPort = 40_000;
const serverPort = 443;

function segment(words: string[]): Uint8Array {
  const [arrow, flags, ...rest] = words;
  const fields = new Map(rest.map((word) => word.split('=') as [string, string | undefined]));
  const number = (name: string, otherwise: number): number => Number(fields.get(name) ?? otherwise);
  const fromClient = arrow === '>';
  const sack = fields.get('sack')?.split('-').map(Number);
  const scale = fields.has('ws') ? number('ws', 0) : undefined;
  const options =
    sack !== undefined
      ? sackOption(sack[0]!, sack[1]!)
      : flags?.includes('S')
        ? synOptions(scale, fields.has('sackok'))
        : new Uint8Array();
  return tcpPacket(fromClient ? client : server, fromClient ? server : client, {
    srcPort: fromClient ? clientPort : serverPort,
    dstPort: fromClient ? serverPort : clientPort,
    flags: flags!,
    seq: number('seq', 0),
    ack: number('ack', 0),
    win: number('win', 8192),
    options,
    payload: new Uint8Array(number('len', 0)),
  });
}

export function tcpStateOf(fixture: EngineFixture): string {
  const table = fixture.engine.table;
  const flow = table.lookup(
    6,
    addressToInt(client),
    clientPort,
    addressToInt(server),
    serverPort,
    fixture.nowMs,
  );
  if (flow === noFlow) return '-';
  return flowStateNames[table.hot[(flow << hotShift) + Hot.state]! & StateBits.stateMask]!;
}

/** Plays a conversation and checks every line; the error names the line. */
export function play(fixture: EngineFixture, conversation: string): void {
  for (const line of conversation.split('\n').map((text) => text.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const words = line.split(/\s+/);
    if (words[0] === 'wait') {
      fixture.nowMs += Number(words[1]) * 1000;
      fixture.engine.tick(fixture.nowMs);
      if (words[2] !== undefined) expect(tcpStateOf(fixture), line).toBe(words[2]);
      continue;
    }
    const [verdict, state] = words.slice(-2);
    expect(flowStateNames.includes(state!) || state === '-', `no state in "${line}"`).toBe(true);
    expect(fixture.judge(segment(words.slice(0, -2))), line).toBe(verdict);
    expect(tcpStateOf(fixture), line).toBe(state);
    fixture.check();
  }
}
