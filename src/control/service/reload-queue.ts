/**
 * One reload at a time, for everybody who asks for one: the watcher, the API, SIGHUP.
 *
 * Who asks while a reload is at work gets the next one, which begins after he asked and so sees what he has stored; all who
 * ask meanwhile share it. So there are never more than two, and each looks at the newest state: an older one cannot come after.
 */
export class ReloadQueue<T> {
  readonly #reload: () => Promise<T>;
  #running: Promise<unknown> = Promise.resolve();
  #next: Promise<T> | undefined;

  /** @param reload reads the newest state and puts it in force */
  constructor(reload: () => Promise<T>) {
    this.#reload = reload;
  }

  /** Resolves with what came of a reload that has begun after this call. */
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
