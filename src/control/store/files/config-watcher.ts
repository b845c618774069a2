/**
 * Watches the configuration directory: one call each time it has settled after changes.
 *
 * Editors save in several steps, and a deployment changes several files: changes are collected until it is quiet, but
 * for half a second at most. Changes during a call are read afterwards; calls never overlap.
 *
 * Of changes within a few milliseconds chokidar reports only the first, and a change while a file is being read may
 * leave the file's times unchanged. So a reading is confirmed a moment later, by content.
 *
 * The events are those of one directory, and the path may come to lead to another one: a link is exchanged, a folder above is
 * renamed, the directory is replaced. So the path is looked at once a second.
 */
import { relative } from 'node:path';
import { watch } from 'chokidar';
import type { FSWatcher } from 'chokidar';
import { unreadWords } from '../config-judge.ts';
import { ConfigReader } from './config-directory.ts';
import { identityOf } from './path-identity.ts';
import type { Snapshot, WatchOptions, Watching } from '../store.ts';

const quietMs = 50;
const patienceMs = 500;
/** Delay before the last reading is compared with the directory. */
const confirmMs = 250;
const foldersMs = 1000;

/** How long after an error watching is tried again. */
const restartMs = 1000;

/** How long a directory is polled, until events are tried again; each time twice as long, for an hour at most. */
const pollFirstMs = 60_000;
const pollMostMs = 3_600_000;

/** How often a directory is read again of which something could not be read. */
const rereadMs = 1000;

type CreateWatcher = (usePolling: boolean) => FSWatcher;

export function watchDirectory(directory: string, usePolling: boolean): FSWatcher {
  return watch(directory, {
    ...{ ignoreInitial: true, depth: 1, usePolling, interval: 500 },
    ignored: (path) => isHidden(relative(directory, path)),
  });
}

/** What is hidden is no configuration, but may be the state directory: a record in the audit log is not worth a reading. */
function isHidden(path: string): boolean {
  return path.split('/').some((name) => /^\.[^.]/.test(name));
}

export class ConfigWatcher implements Watching {
  readonly #directory: string;
  readonly #reader: ConfigReader;
  readonly #options: WatchOptions;
  readonly #create: CreateWatcher;
  #watcher: FSWatcher | undefined;
  #usePolling = false;
  /** How long the next polling lasts. */
  #pollMs: number;
  #eventsTimer: NodeJS.Timeout | undefined;
  /** Why the directory is not watched now. */
  #problem: string | null = null;
  #restartTimer: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #confirmTimer: NodeJS.Timeout | undefined;
  #foldersTimer: NodeJS.Timeout | undefined;
  #firstChangeMs = 0;
  #pending = false;
  #running: Promise<void> | undefined;
  #closed = false;
  /** The folders that are watched. */
  #watched = '';

  /**
   * Resolves when the watch is active.
   *
   * @param reader the store's reader, so that a file is parsed once
   * @param pollMs how long the directory is polled for lack of descriptors or watches, the first time
   */
  static async start(
    directory: string,
    options: WatchOptions,
    reader: ConfigReader = new ConfigReader(directory),
    create: CreateWatcher = (usePolling) => watchDirectory(directory, usePolling),
    pollMs: number = pollFirstMs,
  ): Promise<ConfigWatcher> {
    const watcher = new ConfigWatcher(directory, options, reader, create, pollMs);
    await watcher.#watch();
    watcher.#foldersTimer = setInterval(() => void watcher.#lookAtFolders(), foldersMs);
    return watcher;
  }

  private constructor(
    directory: string,
    options: WatchOptions,
    reader: ConfigReader,
    create: CreateWatcher,
    pollMs: number,
  ) {
    this.#create = create;
    this.#pollMs = pollMs;
    this.#directory = directory;
    this.#reader = reader;
    this.#options = options;
  }

  /** Reads the directory again, changed or not. */
  poke(): void {
    void this.#lookAtFolders();
    this.#schedule(0);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#confirmTimer);
    clearTimeout(this.#restartTimer);
    clearTimeout(this.#eventsTimer);
    clearInterval(this.#foldersTimer);
    await this.#watcher?.close();
    await this.#running;
  }

  /** Resolves when changes are seen, or when watching has failed: then it is tried again. */
  async #watch(): Promise<void> {
    this.#watched = identityOf(this.#directory);
    const watcher = this.#create(this.#usePolling);
    this.#watcher = watcher;
    watcher.on('all', () => this.#changed());
    await new Promise<void>((resolve) => {
      watcher.on('ready', () => {
        this.#report(null);
        if (this.#usePolling) this.#tryEventsLater();
        resolve();
      });
      watcher.on('error', (error) => {
        void this.#onError(error as NodeJS.ErrnoException, watcher).then(resolve);
      });
    });
  }

  /** After any error some part of the directory may be unwatched: it is watched and read again. */
  async #onError(error: NodeJS.ErrnoException, watcher: FSWatcher): Promise<void> {
    if (this.#closed || watcher !== this.#watcher) return;
    this.#watcher = undefined;
    if (error.code === 'ENOSPC' || error.code === 'EMFILE') this.#usePolling = true;
    const how = this.#usePolling
      ? ', by looking at it twice a second: raise fs.inotify.max_user_watches, or the limit of open files'
      : '';
    this.#report(`${this.#directory} is not watched (${error.message}): it is tried again${how}`);
    await watcher.close();
    this.#watchLater();
  }

  /** The lack of descriptors or watches may have passed. */
  #tryEventsLater(): void {
    clearTimeout(this.#eventsTimer);
    this.#eventsTimer = setTimeout(() => {
      this.#usePolling = false;
      void this.#exchangeWatcher();
    }, this.#pollMs);
    this.#pollMs = Math.min(pollMostMs, 2 * this.#pollMs);
  }

  #watchLater(): void {
    if (this.#closed) return;
    this.#restartTimer = setTimeout(() => void this.#watchAgain(), restartMs);
  }

  async #watchAgain(): Promise<void> {
    if (this.#closed) return;
    await this.#watch();
    this.poke();
  }

  /** Warns of each failure once, also when the next attempts fail for the same reason. */
  #report(problem: string | null): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (problem !== null) this.#options.onWarning(problem);
    this.#options.onWatching?.(problem);
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
      this.#confirmLater(config);
      try {
        await this.#options.onChange(config);
      } catch (error) {
        this.#options.onWarning(`the change could not be applied: ${(error as Error).message}`);
      }
    }
  }

  /** A file that could not be read for lack of a descriptor, say, can be read later without having changed. */
  #confirmLater(read: Pick<Snapshot, 'revision' | 'problems'>): void {
    const unread = read.problems.some(({ message }) => message.startsWith(unreadWords));
    clearTimeout(this.#confirmTimer);
    this.#confirmTimer = setTimeout(
      () => {
        if (this.#reader.revision() !== read.revision) this.#changed();
        else if (unread) this.#confirmLater(read);
      },
      unread ? rereadMs : confirmMs,
    );
  }

  async #lookAtFolders(): Promise<void> {
    if (identityOf(this.#directory) !== this.#watched) await this.#exchangeWatcher();
  }

  async #exchangeWatcher(): Promise<void> {
    const watcher = this.#watcher;
    // Without a watcher the next one is on its way.
    if (watcher === undefined) return;
    this.#watcher = undefined;
    await watcher.close();
    await this.#watchAgain();
  }
}
