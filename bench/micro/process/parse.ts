/** Parsing: packets of established conversations, the same checks as in the firewall. */
import { DropReason } from '../../../src/dataplane/wire/drop-reason.ts';
import { Protocol, TcpFlag } from '../../../src/dataplane/wire/headers.ts';
import { Packet } from '../../../src/dataplane/wire/packet.ts';
import { parsePacket } from '../../../src/dataplane/wire/parse.ts';
import { createBatch, defaultBatchSize } from '../../../src/dataplane/tun/batch.ts';
import type { Batch } from '../../../src/dataplane/tun/batch.ts';
import { port } from '../../net/policy.ts';
import { expectEqual, server } from './firewall.ts';
import { perOperation } from './meter.ts';
import type { Duration } from './meter.ts';
import { parseNaively } from './naive.ts';
import type { NaivePacket } from './naive.ts';
import { PacketStore, layOut, maxPayload } from './traffic.ts';

const packetCount = 8192;

/** Parses the first `count` packets; returns how many are well formed. */
type Parse = (batch: Batch, count: number) => number;

/** As the look-ahead does it: into packets that are used again. */
function parser(batch: Batch): Parse {
  const packets = Array.from({ length: batch.readSlots }, () => new Packet());
  const words = new Int32Array(batch.buffer, 0, batch.buffer.byteLength >> 2);
  return ({ bytes, offsets, lengths }, count) => {
    let good = 0;
    for (let slot = 0; slot < count; slot++) {
      const reason = parsePacket(bytes, words, offsets[slot]!, lengths[slot]!, packets[slot]!);
      if (reason === DropReason.none) good++;
    }
    return good;
  };
}

function naiveParser(batch: Batch): Parse {
  const packets = new Array<NaivePacket | undefined>(batch.readSlots);
  return ({ bytes, offsets, lengths }, count) => {
    let good = 0;
    for (let slot = 0; slot < count; slot++) {
      packets[slot] = parseNaively(bytes, offsets[slot]!, lengths[slot]!);
      if (packets[slot] !== undefined) good++;
    }
    return good;
  };
}

export function measureParse(naive: boolean, duration: Duration): { time: number } {
  const batch = createBatch(defaultBatchSize);
  const kind = { protocol: Protocol.tcp, payload: maxPayload, tcpFlags: TcpFlag.ack };
  const store = new PacketStore(packetCount, batch.readSlots, kind);
  for (let i = 0; i < packetCount; i++) {
    store.put(i, 0x64400000 + (i >> 6), 1024 + i, server, port.tcp);
  }
  layOut(batch);
  const parse = naive ? naiveParser(batch) : parser(batch);
  let next = 0;
  const prepare = (): number => store.copyBatch(next++ % store.batches, batch);
  const step = (): number => {
    const count = prepare();
    expectEqual('well-formed packets', parse(batch, count), count);
    return count;
  };
  return { time: perOperation({ step, prepare }, duration) };
}
