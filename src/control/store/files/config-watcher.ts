/**
 * Watches the configuration directory: one call each time it has settled after changes.
 *
 * Editors save in several steps, and a deployment changes several files: changes are collected until it is quiet, but
 * for half a second at most. Changes during a call are read afterwards; calls never overlap.
 *
 * Of changes within a few milliseconds chokidar reports only the first, and a change while a file is being read may
 * leave the file's times unchanged. So a reading is confirmed a moment later, by content. chokidar
 * sometimes misses that a folder is another one under the same name: that is looked at once a second.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { watch } from 'chokidar';
import type { FSWatcher } from 'chokidar';
import { ConfigReader } from './config-directory.ts';
import type { Snapshot, WatchOptions, Watching } from '../store.ts';

const quietMs = 50;
const patienceMs = 500;
/** Delay before the last reading is compared with the directory. */
const confirmMs = 250;
const foldersMs = 1000;

export class ConfigWatcher implements Watching {
  readonly #directory: string;
  readonly #reader: ConfigReader;
  readonly #options: WatchOptions;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #confirmTimer: NodeJS.Timeout | undefined;
  #foldersTimer: NodeJS.Timeout | undefined;
  #firstChangeMs = 0;
  #pending = false;
  #running: Promise<void> | undefined;
  #closed = false;
  /** The folders that are watched. */
  #watched = '';
  #usesPolling = false;

  /**
   * Resolves when the watch is active.
   *
   * @param reader the store's reader, so that a file is parsed once
   */
  static async start(
    directory: string,
    options: WatchOptions,
    reader: ConfigReader = new ConfigReader(directory),
  ): Promise<ConfigWatcher> {
    const watcher = new ConfigWatcher(directory, options, reader);
    await watcher.#watch(false);
    watcher.#foldersTimer = setInterval(() => void watcher.#lookAtFolders(), foldersMs);
    return watcher;
  }

  private constructor(directory: string, options: WatchOptions, reader: ConfigReader) {
    this.#directory = directory;
    this.#reader = reader;
    this.#options = options;
  }

  /** Reads the directory again, changed or not. */
  poke(): void {
    this.#schedule(0);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#confirmTimer);
    clearInterval(this.#foldersTimer);
    await this.#watcher?.close();
    await this.#running;
  }

  async #watch(usePolling: boolean): Promise<void> {
    this.#watched = foldersOf(this.#directory);
    this.#usesPolling = usePolling;
    const watcher = watch(this.#directory, {
      ignoreInitial: true,
      depth: 1,
      usePolling,
      interval: 500,
    });
    this.#watcher = watcher;
    watcher.on('all', () => this.#changed());
    await new Promise<void>((resolve) => {
      watcher.on('ready', resolve);
      watcher.on('error', (error) => {
        void this.#onError(error as NodeJS.ErrnoException, watcher, usePolling).then(resolve);
      });
    });
  }

  async #onError(
    error: NodeJS.ErrnoException,
    watcher: FSWatcher,
    usePolling: boolean,
  ): Promise<void> {
    if (this.#closed || watcher !== this.#watcher) return;
    if (usePolling || (error.code !== 'ENOSPC' && error.code !== 'EMFILE')) {
      this.#options.onWarning(`watching ${this.#directory}: ${error.message}`);
      return;
    }
    this.#options.onWarning(
      `no inotify watch is left (${error.code}): looking at ${this.#directory} twice a second instead; raise fs.inotify.max_user_watches`,
    );
    await watcher.close();
    await this.#watch(true);
  }

  #changed(): void {
    const nowMs = performance.now();
    if (!this.#pending) this.#firstChangeMs = nowMs;
    const patienceLeftMs = Math.max(0, this.#firstChangeMs + patienceMs - nowMs);
    this.#schedule(Math.min(quietMs, patienceLeftMs));
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#pending = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#running ??= this.#run().finally(() => (this.#running = undefined));
    }, delayMs);
  }

  /** Reads and reports until nothing is pending. */
  async #run(): Promise<void> {
    while (this.#pending && !this.#closed) {
      this.#pending = false;
      const config: Snapshot = this.#reader.read().snapshot;
      this.#confirmLater(config.revision);
      try {
        await this.#options.onChange(config);
      } catch (error) {
        this.#options.onWarning(`the change could not be applied: ${(error as Error).message}`);
      }
    }
  }

  #confirmLater(revision: string): void {
    clearTimeout(this.#confirmTimer);
    this.#confirmTimer = setTimeout(() => {
      if (this.#reader.revision() !== revision) this.#changed();
    }, confirmMs);
  }

  async #lookAtFolders(): Promise<void> {
    if (foldersOf(this.#directory) === this.#watched) return;
    await this.#watcher?.close();
    if (this.#closed) return;
    await this.#watch(this.#usesPolling);
    this.#changed();
  }
}

/** Which folders these are: another one under the same name is told apart. */
function foldersOf(directory: string): string {
  return [directory, join(directory, 'templates')]
    .map((path) => {
      const found = statSync(path, { throwIfNoEntry: false });
      return found === undefined ? 'none' : `${found.dev}:${found.ino}:${found.birthtimeMs}`;
    })
    .join(' ');
}
