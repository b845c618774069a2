/**
 * `tunwall import`: rules of another firewall as templates.
 *
 * Exit code 0 if templates were written (or would be, with --dry-run), even if parts of the source could not be
 * expressed; these are reported on standard error. With --strict they are a failure, and nothing is written. 1 if
 * nothing could be imported.
 */
import { Option } from 'commander';
import { basename, join } from 'node:path';
import { importFormats } from '../interop/rules/import-result.ts';
import type {
  ImportFormat,
  ImportResult,
  ImportedTemplate,
  Remark,
} from '../interop/rules/import-result.ts';
import type { PolicyStore, Store } from '../control/store/store.ts';
import { importRules } from '../interop/rules/import.ts';
import { becomeOwnerOf } from '../system/privileges.ts';
import { namePattern } from '../policy/validate.ts';
import type { ChangeWords } from './api-client.ts';
import { addChangeOptions, changeOptionsOf, tellIfUnconfirmed } from './change-words.ts';
import { ExitCode, UserError } from './errors.ts';
import { addWaitOption, waitForStore } from './fleet-wait.ts';
import type { WaitFlags } from './fleet-wait.ts';
import { importIntoStore, importedText, writeImported } from './import-target.ts';
import type { Output } from './output.ts';
import { examples, type Verb } from './program.ts';
import type { Progress } from './progress.ts';
import { usualDirectory } from './run-command.ts';
import { line } from '../text/line.ts';
import { formatTable } from '../text/table.ts';
import { counted } from '../text/numbers.ts';

type ImportStore = Store & Pick<PolicyStore, 'gateways'>;

export interface ImportActions {
  /** The text of a file, or of standard input for `-`. */
  readonly readText: (file: string) => Promise<string>;
  readonly progress: (label: string) => Progress;
  /** The store of a configuration directory. */
  readonly openStore: (directory: string) => Promise<ImportStore>;
  /** Who imports, for the audit log. */
  readonly actor: string;
}

interface Flags extends WaitFlags, ChangeWords {
  readonly format: ImportFormat | 'auto';
  readonly name?: string;
  readonly config: string;
  readonly output?: string;
  readonly interface?: string;
  readonly dryRun?: boolean;
  readonly strict?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function importCommand(actions: ImportActions): Verb {
  return (program, output, finish) => {
    const command = program
      .command('import')
      .summary('templates from the rules of another firewall (DigitalOcean, Hetzner, iptables)')
      .argument('<file>', 'what to import; - is standard input')
      .description(
        'templates from the rules of another firewall: DigitalOcean and Hetzner Cloud (JSON of\n' +
          'their APIs) and iptables-save. What cannot be expressed exactly is left out and reported,\n' +
          'so that no template allows more than its source did.',
      )
      .addOption(
        new Option('--format <format>', 'what the file is')
          .choices(['auto', ...importFormats])
          .default('auto'),
      )
      .option('--name <name>', 'name of the template (default: as in the source, or as the file)')
      .addOption(
        new Option('--config <dir>', 'configuration directory, whose templates it joins').default(
          usualDirectory(),
        ),
      )
      .addOption(
        new Option('--output <dir>', 'write the template files there instead').conflicts([
          'config',
          'message',
          'confirm',
        ]),
      )
      .option(
        '--interface <name>',
        "iptables: the interface where the host's packets come in and go out, for rules with -i and -o",
      )
      .option('--dry-run', 'print the template files instead of writing them')
      .option('--strict', 'fail, and write nothing, if something could not be expressed')
      .option('--force', 'overwrite templates of the same name')
      .option('--json', 'print JSON: format, templates, remarks and files')
      .addHelpText(
        'after',
        examples([
          ['iptables-save | tunwall import - --name old-host --dry-run', 'look at it first'],
          ['tunwall import firewalls.json --config ./config', 'templates beside the others'],
        ]),
      );
    addWaitOption(addChangeOptions(command)).action((file: string, flags: Flags) =>
      finish(importFile(file, flags, actions, output)),
    );
  };
}

async function importFile(
  file: string,
  flags: Flags,
  actions: ImportActions,
  output: Output,
): Promise<number> {
  if (flags.name !== undefined && !namePattern.test(flags.name)) {
    throw new UserError(
      `"${flags.name}" cannot be a template's name`,
      'expected 1 to 63 characters a-z, 0-9, dot, hyphen and underscore, a letter or digit first',
    );
  }
  const text = await actions.readText(file);
  const progress = actions.progress(`importing ${basename(file)}`);
  let result: ImportResult;
  try {
    result = importRules(text, flags.format === 'auto' ? undefined : flags.format, {
      ...(flags.name !== undefined && { name: flags.name }),
      fallbackName: file === '-' ? 'imported' : basename(file).replace(/\.[a-z]+$/i, ''),
      ...(flags.interface !== undefined && { interface: flags.interface }),
      onProgress: (done, total) => progress.update(done, total),
    });
  } finally {
    progress.finish();
  }
  const failure = failureOf(result, flags);
  const write = failure === undefined && flags.dryRun !== true;
  const { files, store } = write
    ? await writeTemplates(result.templates, flags, actions)
    : { files: [] };
  if (flags.json === true) {
    const { format, templates, remarks } = result;
    output.json({ ok: failure === undefined, format, templates, remarks, files });
  } else {
    printResult(result, flags, files, output);
  }
  if (failure !== undefined) throw new UserError(failure);
  if (store === undefined) return ExitCode.ok;
  await tellIfUnconfirmed(store, flags, output);
  return await waitForStore(store, flags, output);
}

async function writeTemplates(
  templates: readonly ImportedTemplate[],
  { output, config, force = false, ...words }: Flags,
  { openStore, actor }: ImportActions,
): Promise<{ readonly files: readonly string[]; readonly store?: ImportStore }> {
  if (output !== undefined) {
    becomeOwnerOf([output]).forget();
    return { files: await writeImported(output, templates, force) };
  }
  const store = await openStore(config);
  const files = await importIntoStore(store, actor, templates, {
    overwrite: force,
    ...changeOptionsOf(words),
  });
  return { files: files.map((file) => join(config, file)), store };
}

function countLost(remarks: readonly Remark[]): number {
  return remarks.filter(({ severity }) => severity === 'lost').length;
}

function failureOf(
  { templates, directions, remarks }: ImportResult,
  flags: Flags,
): string | undefined {
  const lost = countLost(remarks);
  const rules = templates.reduce(
    (sum, { inbound, outbound }) => sum + inbound.length + outbound.length,
    0,
  );
  if (templates.length === 0) return 'there are no firewall rules in it: nothing was written';
  if (rules === 0 && lost > 0) return 'none of its rules could be expressed: nothing was written';
  const empty = directions.find(({ allowing, imported }) => allowing > 0 && imported === 0);
  if (empty !== undefined) {
    const { name, allowing } = empty;
    return `none of the ${allowing} accepting rules of ${name} could be expressed: nothing was written`;
  }
  if (flags.strict === true && lost > 0) return `${lostText(lost)}: nothing was written (--strict)`;
  return undefined;
}

function lostText(lost: number): string {
  return `${counted(lost, 'thing')} could not be expressed`;
}

function printResult(
  { templates, remarks }: ImportResult,
  flags: Flags,
  files: readonly string[],
  output: Output,
): void {
  for (const { severity, place, message } of remarks) {
    const word = severity === 'lost' ? output.style('yellow', 'not expressed') : 'note';
    output.error(line`${place}: ${word}: ${message}`);
  }
  if (flags.dryRun === true) {
    for (const template of templates) {
      output.document(`# ${template.name}.yaml\n${importedText(template)}`);
      output.print('');
    }
  } else if (files.length > 0) {
    const rows = templates.map(({ name, inbound, outbound }, index) => [
      name,
      String(inbound.length),
      String(outbound.length),
      files[index] ?? '',
    ]);
    output.print(formatTable(['template', 'inbound rules', 'outbound rules', 'file'], rows));
  }
  const lost = countLost(remarks);
  if (lost > 0) output.error(lostText(lost));
}
