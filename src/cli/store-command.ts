/** `tunwall store`: gets a policy into the store that gateways share, and out of it again, file by file. */
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { undoOverdue } from '../control/store/confirmation.ts';
import { readFiles } from '../control/store/files/config-files.ts';
import { writeDurably } from '../control/store/files/durable-file.ts';
import { maxFileBytes, sha256 } from '../control/store/config-texts.ts';
import { nowhere, unifiedDiff } from '../control/store/text-diff.ts';
import { formatProblem } from '../policy/problem.ts';
import { becomeOwnerOf } from '../system/privileges.ts';
import { readRegularFile } from '../system/safe-file.ts';
import { formatDuration } from '../text/duration.ts';
import { line, linesOf } from '../text/line.ts';
import { reasonOf } from '../text/system-errors.ts';
import type { ChangeWords } from './api-client.ts';
import { addChangeOptions, changeOptionsOf, tellIfUnconfirmed } from './change-words.ts';
import { ExitCode, UserError } from './errors.ts';
import { addWaitOption, waitForStore } from './fleet-wait.ts';
import type { WaitFlags } from './fleet-wait.ts';
import { addBackup, addGrant, addRestore } from './store-backup.ts';
import { actorOf, asUserError, opened, requireYes, verb } from './store-parts.ts';
import type { Parts, StoreActions, StoreFlags } from './store-parts.ts';
import type { Verb } from './program.ts';
import { filesIn, textsIn } from './policy-files.ts';

/** What `push --dry-run` says by its exit code. */
const wouldChange = 2;

export function storeCommand(actions: StoreActions): Verb {
  return (program, output, finish) => {
    const parts: Parts = { ...actions, output, finish };
    const family = program
      .command('store')
      .description('the store that several gateways share (store in gateway.yaml)');
    addInit(family, parts);
    addPush(family, parts);
    addPull(family, parts);
    addStatus(family, parts);
    addAdopt(family, parts);
    addBackup(family, parts);
    addRestore(family, parts);
    addGrant(family, parts);
  };
}

function addInit(family: Command, parts: Parts): void {
  verb(family, 'init', 'make an empty policy in the store, if it has none', [
    ['tunwall store init', 'once, before the first push'],
  ]).action((flags: StoreFlags) =>
    parts.finish(
      (async () => {
        const store = await opened(parts, flags);
        const isNew = await asUserError(store.administration.initialize(actorOf(parts)));
        if (!isNew) {
          throw new UserError(
            `${store.link.name} has a policy already`,
            'see it: tunwall store status',
          );
        }
        parts.output.print(
          line`${store.link.name} has an empty policy now: tunwall store push DIR`,
        );
        return ExitCode.ok;
      })(),
    ),
  );
}

function addPush(family: Command, parts: Parts): void {
  const push = verb(
    family,
    'push <dir>',
    'put the templates, sets and servers of a directory in the place of those in the store, byte for byte.\n' +
      'Users and gateway.yaml are not pushed. Exit code 2 with --dry-run: something would change.',
    [
      ['tunwall store push ./policy', 'shows the difference, and asks'],
      [
        'tunwall store push ./policy --dry-run',
        'for a pull request: 0 nothing, 2 something would change',
      ],
      ['tunwall store push ./policy --yes --wait -m "$(git log -1 --format=%s)"', 'from CI'],
    ],
  )
    .option('--yes', 'do not ask')
    .option('--dry-run', 'show the difference, and change nothing')
    .option('--overwrite', 'also what was changed in the store since the directory was pulled');
  addWaitOption(addChangeOptions(push)).action((directory: string, flags: PushFlags) =>
    parts.finish(pushDirectory(parts, directory, flags)),
  );
}

interface PushFlags extends StoreFlags, WaitFlags, ChangeWords {
  readonly overwrite?: boolean;
}

async function pushDirectory(parts: Parts, directory: string, flags: PushFlags): Promise<number> {
  const { output } = parts;
  const wanted = filesIn(directory);
  const store = await opened(parts, flags);
  // No gateway may run that would have done it.
  if (flags.dryRun !== true) await asUserError(undoOverdue(store));
  const present = await asUserError(store.files());
  if (flags.overwrite !== true) requireBase(directory, present);
  const difference = differenceOf(present, wanted);
  if (difference === '') {
    output.print('nothing differs');
    return flags.dryRun === true ? ExitCode.ok : await waitForStore(store, flags, output);
  }
  output.print(linesOf(difference.trimEnd()));
  if (flags.dryRun === true) return wouldChange;
  await requireYes(parts, flags, `put this into ${store.link.name}, for all gateways?`);
  const options = changeOptionsOf(flags);
  const push = { actor: actorOf(parts), files: wanted, expected: present, options };
  await asUserError(store.replaceFiles(push));
  try {
    await keepBase(directory, wanted);
  } catch (error) {
    // It may be somebody else's, or read-only; the push is made.
    const why = reasonOf(error);
    output.error(
      line`${join(directory, baseFile)} cannot be written: ${why}; pull before the next push`,
    );
  }
  output.print(line`pushed: ${store.link.name} is at change ${store.link.revision}`);
  await tellIfUnconfirmed(store, flags, output);
  return await waitForStore(store, flags, output);
}

/** What the directory was made from, by name: digests. */
const baseFile = '.pulled.json';

async function keepBase(directory: string, files: ReadonlyMap<string, string>): Promise<void> {
  const digests = Object.fromEntries([...files].map(([name, text]) => [name, sha256(text)]));
  await writeDurably(join(directory, baseFile), `${JSON.stringify({ files: digests }, null, 2)}\n`);
}

/** @throws UserError when the store is not as it was when the directory was pulled */
function requireBase(directory: string, present: ReadonlyMap<string, string>): void {
  const path = join(directory, baseFile);
  let base: Readonly<Record<string, string>>;
  try {
    const { bytes } = readRegularFile(path, maxFileBytes);
    const pushed = JSON.parse(bytes.toString('utf8')) as { files?: Record<string, string> } | null;
    base = pushed?.files ?? {};
  } catch (error) {
    // A directory that was never pulled is the whole truth of whoever pushes it.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw new UserError(`${path} cannot be read: ${(error as Error).message}`);
  }
  const names = [...new Set([...Object.keys(base), ...present.keys()])].sort();
  const changed = names.filter((name) => {
    const text = present.get(name);
    return (text === undefined ? undefined : sha256(text)) !== base[name];
  });
  if (changed.length === 0) return;
  throw new UserError(
    `the store was changed since ${directory} was pulled: ${changed.join(', ')}`,
    'tunwall store pull into another directory and merge, or --overwrite',
  );
}

function differenceOf(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): string {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names
    .map((name) => {
      const [old, now] = [before.get(name), after.get(name)];
      const [from, to] = [old === undefined ? nowhere : name, now === undefined ? nowhere : name];
      // An empty file that comes or goes has no lines to be shown.
      const isEmpty = (old ?? '') === '' && (now ?? '') === '';
      if (isEmpty) return from === to ? '' : `--- ${from}\n+++ ${to}\n`;
      return unifiedDiff(from, to, old ?? '', now ?? '');
    })
    .join('');
}

function addPull(family: Command, parts: Parts): void {
  verb(
    family,
    'pull <dir>',
    'write the templates, sets and servers of the store into a directory, byte for byte.\n' +
      'Those in the directory that the store does not have are removed.',
    [
      ['tunwall store pull ./policy', 'into a clone of a repository; git diff tells'],
      ['tunwall store pull ./policy --yes', 'do not ask before files are overwritten'],
    ],
  )
    .option('--yes', 'do not ask')
    .action((directory: string, flags: StoreFlags) => parts.finish(pull(parts, directory, flags)));
}

async function pull(parts: Parts, directory: string, flags: StoreFlags): Promise<number> {
  const { output } = parts;
  // Nothing is written to this gateway's state, and the directory is somebody else's, perhaps.
  const store = await opened(parts, flags, false);
  const { files: wanted, seq } = await asUserError(store.administration.present());
  // What is in it is its owner's choice: a folder may be a link to anywhere.
  becomeOwnerOf([directory]).forget();
  await mkdir(directory, { recursive: true });
  const present = textsIn(readFiles(directory));
  const difference = differenceOf(present, wanted);
  if (difference !== '' && present.size > 0) {
    output.print(linesOf(difference.trimEnd()));
    await requireYes(parts, flags, `write this into ${directory}?`);
  }
  for (const [name, text] of wanted) {
    if (present.get(name) === text) continue;
    const path = join(directory, name);
    await mkdir(dirname(path), { recursive: true });
    await writeDurably(path, text);
  }
  for (const name of present.keys()) {
    if (!wanted.has(name)) await rm(join(directory, name));
  }
  await keepBase(directory, wanted);
  output.print(`pulled: ${directory} is as change ${seq}`);
  return ExitCode.ok;
}

function addStatus(family: Command, parts: Parts): void {
  verb(family, 'status', 'whether the store answers, and which change it is at', [
    [
      'tunwall store status',
      'exit code 0: it answers, and its policy goes on from that of this gateway',
    ],
  ])
    .option('--json', 'print JSON')
    .action((flags: StoreFlags) =>
      parts.finish(
        (async () => {
          const { output } = parts;
          const store = await opened(parts, flags);
          const { problems } = await store.read();
          const { link } = store;
          if (flags.json === true) output.json(link);
          else {
            output.print(
              link.connected
                ? line`${link.name} ${output.style('green', 'answers')}: ${link.endpoint}, change ${link.revision}`
                : line`${link.name} is ${output.style('red', 'not connected')}; this gateway has taken change ${link.revision}`,
            );
            if (link.confirmedAgeSeconds !== undefined) {
              output.print(`  confirmed ${formatDuration(link.confirmedAgeSeconds)} ago`);
            }
            if (link.problem !== undefined) output.error(link.problem);
            for (const problem of problems) output.error(formatProblem(problem));
          }
          return link.connected ? ExitCode.ok : ExitCode.failed;
        })(),
      ),
    );
}

function addAdopt(family: Command, parts: Parts): void {
  verb(
    family,
    'adopt',
    'take what is in the store now, on this gateway, although it does not go on from what this gateway has taken:\n' +
      'after the store was restored from a backup, or made anew. A firewall that runs takes it within seconds.',
    [
      ['tunwall store pull /tmp/now', 'first: see what it is'],
      ['tunwall store adopt --yes', 'then, on each gateway'],
    ],
  )
    .option('--yes', 'do not ask')
    .action((flags: StoreFlags) =>
      parts.finish(
        (async () => {
          const store = await opened(parts, flags);
          await requireYes(parts, flags, `take what is in ${store.link.name} now, whatever it is?`);
          const seq = await asUserError(store.administration.adopt(actorOf(parts)));
          parts.output.print(`change ${seq} is what this gateway goes on from`);
          return ExitCode.ok;
        })(),
      ),
    );
}
