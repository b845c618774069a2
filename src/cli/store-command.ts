/** `tunwall store`: gets a policy into the store that gateways share, and out of it again, file by file. */
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import type { EtcdStore } from '../control/store/etcd/etcd-store.ts';
import { ConfigReader } from '../control/store/files/config-directory.ts';
import { readFiles } from '../control/store/files/config-files.ts';
import { writeDurably } from '../control/store/files/durable-file.ts';
import { filesOf, placeOf } from '../control/store/config-texts.ts';
import type { ConfigFiles } from '../control/store/config-texts.ts';
import { StoreError } from '../control/store/store.ts';
import type { Actor } from '../control/store/store.ts';
import { nowhere, unifiedDiff } from '../control/store/text-diff.ts';
import { formatProblem } from '../policy/problem.ts';
import { becomeOwnerOf } from '../system/privileges.ts';
import { formatDuration } from '../text/duration.ts';
import { line, linesOf } from '../text/line.ts';
import { ExitCode, UserError } from './errors.ts';
import type { Output } from './output.ts';
import { examples } from './program.ts';
import type { Verb } from './program.ts';
import { defaultConfigDirectory } from './run-command.ts';

export interface StoreActions {
  /** `undefined` when gateway.yaml names no store. @param asOwner root goes on as the owner of the directory */
  readonly open: (directory: string, asOwner: boolean) => Promise<EtcdStore | undefined>;
  /** The user, for the audit log. */
  readonly actor: string;
  /** Asks a person; `undefined` when there is nobody to be asked. */
  readonly confirm: (question: string) => Promise<boolean | undefined>;
}

interface Flags {
  readonly config: string;
  readonly json?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

interface Parts extends StoreActions {
  readonly output: Output;
  readonly finish: (outcome: Promise<number>) => Promise<void>;
}

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
  };
}

function verb(
  family: Command,
  usage: string,
  description: string,
  help: readonly (readonly [string, string])[],
): Command {
  return family
    .command(usage)
    .description(description)
    .option('--config <dir>', 'configuration directory of this gateway', defaultConfigDirectory)
    .addHelpText('after', examples(help));
}

async function opened({ open }: Parts, { config }: Flags, asOwner = true): Promise<EtcdStore> {
  const store = await open(config, asOwner);
  if (store !== undefined) return store;
  throw new UserError(
    `${join(config, 'gateway.yaml')} names no store`,
    'write store: { etcd: { endpoints: [...] } } into it; see docs/several-gateways.md',
  );
}

function actorOf({ actor }: Parts): Actor {
  return { name: actor, via: 'cli' };
}

/** Refusals of the store as those of the command. */
async function asUserError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new UserError(error.message, 'nothing was changed; see tunwall store status', {
      cause: error,
    });
  }
}

function addInit(family: Command, parts: Parts): void {
  verb(family, 'init', 'make an empty policy in the store, if it has none', [
    ['tunwall store init', 'once, before the first push'],
  ]).action((flags: Flags) =>
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
  verb(
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
      ['tunwall store push ./policy --yes', 'from CI'],
    ],
  )
    .option('--yes', 'do not ask')
    .option('--dry-run', 'show the difference, and change nothing')
    .action((directory: string, flags: Flags) => parts.finish(push(parts, directory, flags)));
}

async function push(parts: Parts, directory: string, flags: Flags): Promise<number> {
  const { output } = parts;
  const wanted = filesIn(directory);
  const store = await opened(parts, flags);
  const present = await asUserError(store.files());
  const difference = differenceOf(present, wanted);
  if (difference === '') {
    output.print('nothing differs');
    return ExitCode.ok;
  }
  output.print(linesOf(difference.trimEnd()));
  if (flags.dryRun === true) return wouldChange;
  await requireYes(parts, flags, `put this into ${store.link.name}, for all gateways?`);
  await asUserError(store.replaceFiles(actorOf(parts), wanted, present));
  output.print(line`pushed: ${store.link.name} is at change ${store.link.revision}`);
  return ExitCode.ok;
}

/** The files of a policy in a directory. @throws UserError when it has errors */
function filesIn(directory: string): Map<string, string> {
  const { snapshot, raw } = new ConfigReader(directory).read();
  const errors = snapshot.problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0 || raw === undefined) {
    const lines = [`${directory} has errors:`, ...errors.map(formatProblem)];
    throw new UserError(lines.join('\n'), `correct them; tunwall check --config ${directory}`);
  }
  return textsIn(raw);
}

function textsIn(raw: ConfigFiles): Map<string, string> {
  return new Map(
    filesOf({ ...raw, gateway: undefined }).flatMap(({ name, text }): [string, string][] =>
      text !== undefined && (name === 'servers.yaml' || placeOf(name) !== undefined)
        ? [[name, text]]
        : [],
    ),
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
      return unifiedDiff(from, to, old ?? '', now ?? '');
    })
    .join('');
}

async function requireYes({ confirm }: Parts, { yes }: Flags, question: string): Promise<void> {
  if (yes === true) return;
  const answer = await confirm(question);
  if (answer === true) return;
  const why = answer === undefined ? 'there is nobody to be asked' : 'you have not said yes';
  throw new UserError(`nothing was changed: ${why}`, 'with --yes it does not ask');
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
    .action((directory: string, flags: Flags) => parts.finish(pull(parts, directory, flags)));
}

async function pull(parts: Parts, directory: string, flags: Flags): Promise<number> {
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
    .action((flags: Flags) =>
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
    .action((flags: Flags) =>
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
