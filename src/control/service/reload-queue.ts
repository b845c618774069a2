/**
 * One reload at a time, for all its callers: the watcher, the API, SIGHUP.
 *
 * A request during a reload gets the next one, which begins later and so sees what the caller has stored; all requests
 * made meanwhile share it. So there are never more than two, and each reads the newest state: an older state cannot
 * replace a newer one.
 */
export class ReloadQueue<T> {
  readonly #reload: () => Promise<T>;
  #running: Promise<unknown> = Promise.resolve();
  #next: Promise<T> | undefined;

  /** @param reload reads the newest state and puts it in force */
  constructor(reload: () => Promise<T>) {
    this.#reload = reload;
  }

  /** Resolves with the result of a reload that began after this call. */
  run(): Promise<T> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      const running = this.#reload();
      this.#running = running.catch(() => undefined);
      return running;
    });
    return this.#next;
  }
}
