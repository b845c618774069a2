/** `tunwall store backup`, `restore` and `grant`. */
import { Backup } from '../control/store/etcd/backup.ts';
import type { BackupSummary } from '../control/store/etcd/backup.ts';
import { writeDurably } from '../control/store/files/durable-file.ts';
import { readRegularFile } from '../system/safe-file.ts';
import { namePattern } from '../policy/validate.ts';
import { line } from '../text/line.ts';
import { counted } from '../text/numbers.ts';
import { ExitCode, UserError } from './errors.ts';
import { actorOf, asUserError, opened, requireYes, verb } from './store-parts.ts';
import type { Parts, StoreFlags } from './store-parts.ts';
import type { Command } from 'commander';

export function addBackup(family: Command, parts: Parts): void {
  verb(
    family,
    'backup <file>',
    'write the whole policy into a file: texts, history, audit records of changes, and the users with their hashes.\n' +
      'Only you can read the file.',
    [['tunwall store backup /backup/policy.tunwall', 'once a day; replaces the file']],
  ).action((file: string, flags: StoreFlags) =>
    parts.finish(
      (async () => {
        const store = await opened(parts, flags, false);
        const { bytes, summary } = await asUserError(store.administration.backup());
        await writeDurably(file, bytes, 0o600);
        parts.output.print(line`${file} has ${summaryText(summary)}`);
        return ExitCode.ok;
      })(),
    ),
  );
}

function summaryText({ seq, files, commits, hasUsers }: BackupSummary): string {
  const users = hasUsers ? ', and the users' : '; no users';
  return `change ${seq}: ${counted(files, 'file')}, ${counted(commits, 'change')} of history${users}`;
}

export function addRestore(family: Command, parts: Parts): void {
  verb(
    family,
    'restore <file>',
    'put a backup into the store, users included. It does not replace a policy that is there, unless with --replace.\n' +
      'The other gateways keep the policy in force until you say at each: tunwall store adopt.',
    [
      ['tunwall store restore /backup/policy.tunwall', 'into an empty cluster'],
      ['tunwall store restore /backup/policy.tunwall --replace', 'in the place of what is there'],
    ],
  )
    .option('--replace', 'in the place of the policy that is there')
    .option('--yes', 'do not ask')
    .action((file: string, flags: StoreFlags & { readonly replace?: boolean }) =>
      parts.finish(
        (async () => {
          const backup = await readBackup(file);
          const store = await opened(parts, flags);
          const { at } = backup.summary;
          const what = `${file}, ${summaryText(backup.summary)}, of ${at}`;
          const replaces = flags.replace === true;
          if (replaces) {
            const question = `put ${what} in the place of what is in ${store.link.name}?`;
            await requireYes(parts, flags, question);
          }
          await asUserError(
            store.administration.restore(actorOf(parts), backup, replaces),
            'to replace it: --replace. A backup of it before: tunwall store backup',
          );
          parts.output.print(line`restored: ${what}`);
          parts.output.print('on each other gateway, now: tunwall store adopt');
          return ExitCode.ok;
        })(),
      ),
    );
}

/** Compressed: far more than the texts of a policy that a backup may have. */
const maxBackupBytes = 1 << 30;

async function readBackup(file: string): Promise<Backup> {
  let bytes: Buffer;
  try {
    ({ bytes } = readRegularFile(file, maxBackupBytes));
  } catch (error) {
    const message = `${file} cannot be read: ${(error as Error).message}`;
    throw new UserError(message, 'expected a file of tunwall store backup', { cause: error });
  }
  return await asUserError(Promise.resolve().then(() => new Backup(bytes)));
}

export function addGrant(family: Command, parts: Parts): void {
  verb(
    family,
    'grant <gateway>',
    'print the commands of etcdctl that give a gateway a user and a role of its own in etcd: it reads the policy,\n' +
      'and writes nothing but its own record. Nothing is changed by this.',
    [
      ['tunwall store grant gw-1', 'packets only: changes are refused there'],
      ['tunwall store grant gw-1 --changes', 'the policy can be changed there, too'],
    ],
  )
    .option('--changes', 'changes of the policy, too')
    .action((gateway: string, flags: StoreFlags & { readonly changes?: boolean }) =>
      parts.finish(
        (async () => {
          if (!namePattern.test(gateway)) {
            throw new UserError(`"${gateway}" is no name`, 'the name in its gateway.yaml');
          }
          const store = await opened(parts, flags, false);
          for (const each of grantCommands(store.prefix, gateway, flags.changes === true)) {
            parts.output.print(line`${each}`);
          }
          return ExitCode.ok;
        })(),
      ),
    );
}

/** In their order; lines that begin with # are for people. */
export function grantCommands(prefix: string, gateway: string, mayChange: boolean): string[] {
  const role = `tunwall-${gateway}`;
  const grant = `etcdctl role grant-permission --prefix ${role}`;
  return [
    `etcdctl role add ${role}`,
    ...(mayChange
      ? [`${grant} readwrite '${prefix}/'`]
      : [`${grant} read '${prefix}/'`, `${grant} readwrite '${prefix}/gateway/${gateway}/'`]),
    '# asks for a password, for store.etcd.passwordFile of that gateway:',
    `etcdctl user add ${gateway}`,
    `etcdctl user grant-role ${gateway} ${role}`,
    '# once for the cluster, if it is not done yet:',
    '#   etcdctl user add root; etcdctl user grant-role root root; etcdctl auth enable',
  ];
}
