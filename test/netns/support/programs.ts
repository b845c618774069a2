/** The program behind a link, as an installation replaces it: `tunwall run` that is started from the link upgrades to what it leads to. */
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { repository } from './firewall.ts';

const cache = join(repository, 'node_modules/.cache/tunwall-link');

export class InstalledProgram {
  /** From the repository. */
  readonly path: string;
  readonly #link: string;

  constructor() {
    mkdirSync(cache, { recursive: true });
    const folder = mkdtempSync(join(cache, 'link-'));
    // It is run by another user.
    chmodSync(folder, 0o755);
    this.#link = join(folder, 'main.js');
    this.path = relative(repository, this.#link);
    this.install('dist/main.js');
  }

  /** @param program from the repository */
  install(program: string): void {
    const target = relative(dirname(this.#link), join(repository, program));
    symlinkSync(target, `${this.#link}.new`);
    renameSync(`${this.#link}.new`, this.#link);
  }

  remove(): void {
    rmSync(dirname(this.#link), { recursive: true });
  }
}
