/** The child's side of the channel to its parent: takes orders, one after the other, and reports. */
import { birthVariable, firstDescriptor } from '../../parent/messages.ts';
import type { Birth, Order, Report } from '../../parent/messages.ts';
import { endWithParent } from '../../system/parent-death.ts';

export class ParentLink {
  readonly birth: Birth;
  /** Rejects with the error of an order that could not be carried out. */
  readonly failed: Promise<never>;
  #fail: (error: unknown) => void = () => undefined;
  #orders: Promise<void> | undefined;

  /** Of a process that the parent has started; from now on it ends with its parent. */
  constructor() {
    this.birth = JSON.parse(process.env[birthVariable]!) as Birth;
    // Not for processes that this one starts.
    Reflect.deleteProperty(process.env, birthVariable);
    this.failed = new Promise((_resolve, reject) => (this.#fail = reject));
    this.failed.catch(() => undefined);
    process.on('disconnect', end);
    endWithParent(this.birth.parent);
  }

  /** Open /dev/net/tun. */
  get descriptors(): number[] {
    return Array.from({ length: this.birth.descriptors }, (_, index) => firstDescriptor + index);
  }

  report(report: Report): void {
    if (process.connected) process.send!(report);
  }

  /** @param start comes before all orders; its error is the caller's */
  onOrder(obey: (order: Order) => Promise<void>, start: Promise<void>): void {
    this.#orders = start.catch(() => undefined);
    process.on('message', (order: Order) => {
      this.#orders = this.#orders!.then(() => obey(order)).catch(this.#fail);
    });
  }

  /** Lets the process end. */
  close(): void {
    process.off('disconnect', end);
    if (process.connected) process.disconnect();
  }
}

/** The device is without its parent: nobody would start this process again, and there may be another one soon. */
function end(): void {
  process.kill(process.pid, 'SIGKILL');
}
