/** An engine on memory of its own, as the control plane sees it: the flow table's lock is free between two calls. */
import { SharedLock, lockWords } from '../../src/dataplane/worker/shared-lock.ts';
import { FlowInspector } from '../../src/dataplane/worker/flow-inspector.ts';
import type { EngineFixture } from './engine-fixture.ts';
import { timeoutsMs } from './engine-fixture.ts';

/** A lock that lets others do something whenever it was released: what packet threads do between two pieces of a walk. */
class MeddlersLock extends SharedLock {
  meddle: () => void = () => undefined;
  #meddling = false;

  override hold(work: () => void): void {
    super.hold(work);
    if (this.#meddling) return;
    this.#meddling = true;
    try {
      this.meddle();
    } finally {
      this.#meddling = false;
    }
  }
}

export interface Observed {
  readonly flows: FlowInspector;
  /** What happens after every release of the lock; nothing unless set. */
  readonly lock: { meddle: () => void };
}

export function observe(fixture: EngineFixture): Observed {
  const lock = new MeddlersLock(new Int32Array(new SharedArrayBuffer(lockWords * 4)), 0);
  const limits = { timeoutsMs: timeoutsMs(), serverShare: Infinity };
  const flows = new FlowInspector(fixture.memory, limits, lock, () => fixture.nowMs);
  return { flows, lock };
}
