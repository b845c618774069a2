/**
 * Packets of established flows, in random order: look-ahead, look-up, state machine and accounting, all of `Engine.judge`.
 *
 * TCP: every flow gets a segment with data from its client, then every flow the server's acknowledgment, and so on. UDP: the same
 * with datagrams, of flows that are older than two seconds. The clock is the real one, and the engine has its ticks, so that
 * lists and housekeeping cost what they cost.
 */
import { FlowState } from '../../../src/dataplane/flow/flow-record.ts';
import type { Batch } from '../../../src/dataplane/tun/batch.ts';
import { Protocol, TcpFlag } from '../../../src/dataplane/wire/headers.ts';
import { port, rulesOf } from '../../net/policy.ts';
import { Firewall, expectEqual, server } from './firewall.ts';
import { perOperation } from './meter.ts';
import type { Duration } from './meter.ts';
import { NaiveFirewall } from './naive.ts';
import { PacketStore, layOut, maxPayload, setSequence, shuffled } from './traffic.ts';

export interface HitOptions {
  readonly flows: number;
  readonly protocol: 'tcp' | 'udp';
  /** Packets in a batch. */
  readonly batchSize: number;
  /** See FirewallOptions. */
  readonly survive?: boolean;
}

/** As the packet loop does it. */
const tickMs = 100;

/** Whom the packets go to: the engine, or its twin. */
interface Judge {
  readonly batch: Batch;
  readonly words: Uint16Array;
  judge(count: number, nowMs: number): void;
}

/** A packet of every flow, in the same random order as those of the other passes. */
class Pass {
  readonly #store: PacketStore;
  readonly #judge: Judge;
  readonly #tcp: boolean;

  constructor(
    judge: Judge,
    { flows, protocol, batchSize }: HitOptions,
    fromClient: boolean,
    payload: number,
    tcpFlags: number,
  ) {
    this.#judge = judge;
    this.#tcp = protocol === 'tcp';
    const kind = { protocol: this.#tcp ? Protocol.tcp : Protocol.udp, payload, tcpFlags };
    const serverPort = this.#tcp ? port.tcp : port.udp;
    this.#store = new PacketStore(flows, batchSize, kind);
    const order = shuffled(flows);
    for (let place = 0; place < flows; place++) {
      const client = 0x64400000 + (order[place]! >> 10);
      const clientPort = 1024 + (order[place]! & 1023);
      if (fromClient) this.#store.put(place, client, clientPort, server, serverPort);
      else this.#store.put(place, server, serverPort, client, clientPort);
    }
  }

  get batches(): number {
    return this.#store.batches;
  }

  /** Fills the batch; returns how many packets are in it. The sequence numbers are those of all flows. */
  fill(index: number, sequence: number, acknowledgment: number): number {
    const { batch, words } = this.#judge;
    const count = this.#store.copyBatch(index, batch);
    if (this.#tcp) setSequence(batch, words, count, sequence, acknowledgment);
    return count;
  }

  /** All of it, at one time. */
  judge(sequence: number, acknowledgment: number, nowMs: number): void {
    for (let index = 0; index < this.batches; index++) {
      this.#judge.judge(this.fill(index, sequence, acknowledgment), nowMs);
    }
  }
}

/** Opens all flows, on a clock that is a while back. Initial sequence numbers are 0. */
function establish(judge: Judge, options: HitOptions, nowMs: number): void {
  if (options.protocol === 'tcp') {
    new Pass(judge, options, true, 0, TcpFlag.syn).judge(0, 0, nowMs - 9000);
    new Pass(judge, options, false, 0, TcpFlag.syn | TcpFlag.ack).judge(0, 1, nowMs - 8900);
    new Pass(judge, options, true, 0, TcpFlag.ack).judge(1, 1, nowMs - 8800);
    return;
  }
  const query = new Pass(judge, options, true, maxPayload, 0);
  query.judge(0, 0, nowMs - 9000);
  new Pass(judge, options, false, maxPayload, 0).judge(0, 0, nowMs - 8900);
  query.judge(0, 0, nowMs - 5000);
}

/** Batches without end: client, server, client, … */
class Conversations {
  readonly #client: Pass;
  readonly #server: Pass;
  /** Batches so far. */
  #next: number;

  constructor(client: Pass, server: Pass, first: number) {
    this.#client = client;
    this.#server = server;
    this.#next = first;
  }

  fill(): number {
    const { batches } = this.#client;
    const pass = Math.floor(this.#next / batches);
    const index = this.#next % batches;
    this.#next++;
    const sent = 1 + maxPayload * (pass >> 1);
    return (pass & 1) === 0
      ? this.#client.fill(index, sent, 1)
      : this.#server.fill(index, 1, sent + maxPayload);
  }
}

function measureWith(judge: Judge, options: HitOptions, duration: Duration): number {
  const client = new Pass(judge, options, true, maxPayload, TcpFlag.ack);
  const replies = new Pass(judge, options, false, 0, TcpFlag.ack);
  const conversations = new Conversations(client, replies, 0);
  // Half a pass away, so that filling a batch finds its packets as far from the caches.
  const elsewhere = new Conversations(client, replies, client.batches >> 1);
  const now = (): number => performance.now() | 0;
  return perOperation(
    {
      prepare: () => elsewhere.fill() + 0 * now(),
      step() {
        const count = conversations.fill();
        judge.judge(count, now());
        return count;
      },
    },
    duration,
  );
}

export function measureHit(
  naive: boolean,
  options: HitOptions,
  duration: Duration,
): { time: number } {
  const capacity = Math.max(options.flows, 1 << 18);
  const nowMs = performance.now() | 0;
  const firewall = new Firewall({
    capacity,
    batchSize: options.batchSize,
    survive: options.survive,
  });
  const { batch, words, engine } = firewall;
  layOut(batch);
  if (naive) {
    const twin = new NaiveFirewall(capacity, rulesOf(), server);
    const judge: Judge = { batch, words, judge: (count, at) => twin.judge(batch, count, at) };
    establish(judge, options, nowMs);
    const time = measureWith(judge, options, duration);
    expectEqual('dropped packets', twin.dropped, 0);
    return { time };
  }
  let lastTickMs = nowMs;
  const judge: Judge = {
    batch,
    words,
    judge(count, at) {
      engine.judge(count, at);
      if (at - lastTickMs < tickMs) return;
      lastTickMs = at;
      engine.tick(at);
    },
  };
  establish(judge, options, nowMs);
  const state = options.protocol === 'tcp' ? FlowState.established : FlowState.udpStream;
  expectEqual('established flows', firewall.flowsIn(state), options.flows);
  const time = measureWith(judge, options, duration);
  expectEqual('dropped packets', firewall.dropped(), 0);
  return { time };
}
