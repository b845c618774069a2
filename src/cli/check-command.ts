/** `tunwall check`: prints the errors of a configuration directory, or a summary of it. */
import { join } from 'node:path';
import { Option } from 'commander';
import { adviceOn } from '../policy/advice.ts';
import { compilePolicy } from '../policy/compile.ts';
import { linesOf } from '../policy/rule-lines.ts';
import { Resolver } from '../policy/resolve.ts';
import type { AddressSet, GatewayConfig, Server, Template } from '../policy/types.ts';
import { ExitCode } from './errors.ts';
import { githubAnnotation } from './github-annotations.ts';
import type { Output } from './output.ts';
import { examples, type Verb } from './program.ts';
import { configOption, defaultConfigDirectory } from './run-command.ts';
import { exposedFolders } from '../system/folders-above.ts';
import { Line, line } from '../text/line.ts';
import { directions } from '../text/rule-text.ts';
import { formatTable } from '../text/table.ts';
import { counted } from '../text/numbers.ts';

/** One error in a configuration file; line and column count from 1, 0 is the file as a whole. */
export interface ConfigProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Where in the document: `inbound[2].ports[0]`; empty for the whole file. */
  readonly path: string;
  readonly message: string;
  readonly severity: 'error' | 'warning';
}

/** What the command needs to know of a configuration directory that was read. */
export interface CheckedConfig {
  /** A digest of the files. */
  readonly revision: string;
  readonly templates: readonly Template[];
  readonly servers: readonly Server[];
  readonly sets?: readonly AddressSet[];
  readonly gateway?: Pick<GatewayConfig, 'log' | 'reject' | 'stateDirectory'>;
  readonly problems: readonly ConfigProblem[];
  /** The tests beside it; those that have failed are among the problems. Default: none. */
  readonly judged?: readonly unknown[];
}

export type ReadConfig = (directory: string) => CheckedConfig | Promise<CheckedConfig>;

interface Flags {
  readonly config: string;
  readonly format: 'text' | 'github';
  readonly strict?: boolean;
  readonly json?: boolean;
}

export function checkCommand(readConfig: ReadConfig): Verb {
  return (program, output, finish) => {
    program
      .command('check')
      .description(
        'validate the configuration directory, as `tunwall run` would see it, and judge its tests\n' +
          '(tests/*.yaml, see `tunwall test`).\n' +
          'Warnings are about what is valid and perhaps not meant: rules that say the same as others or\n' +
          'add nothing to them (over all templates of each server), templates without servers, sensitive\n' +
          'ports open to all, servers that a rule lets in and whose own outbound rules do not let out.\n' +
          'A folder above the directory that others can write is reported, too.\n' +
          'Exit code 1: there is an error, or a test has failed; with --strict, or a warning about a file.',
      )
      .addOption(configOption())
      .option('--strict', 'fail if there are warnings about files, too')
      .addOption(
        new Option('--format <format>', 'how problems are printed; github: as annotations')
          .choices(['text', 'github'])
          .default('text'),
      )
      .option('--json', 'print JSON')
      .addHelpText(
        'after',
        examples([
          ['tunwall check', `look at ${defaultConfigDirectory}`],
          ['tunwall check --config ./config --json', 'for a script or an editor'],
          ['tunwall check --config ./config --strict', 'before a merge'],
        ]),
      )
      .action((flags: Flags) => finish(check(flags, readConfig, output)));
  };
}

async function check(flags: Flags, readConfig: ReadConfig, output: Output): Promise<number> {
  const read = await readConfig(flags.config);
  const errors = read.problems.filter(({ severity }) => severity === 'error').length;
  const config =
    errors > 0
      ? read
      : {
          ...read,
          problems: [
            ...read.problems,
            ...adviceIn(read, flags.config),
            ...withoutFlowLog(read, flags.config),
          ],
        };
  const inFiles = config.problems.length - errors;
  const ok = errors === 0 && (flags.strict !== true || inFiles === 0);
  const problems = [...config.problems, ...exposures(flags.config, config.gateway?.stateDirectory)];
  const warnings = problems.length - errors;
  if (flags.json === true) {
    const { revision } = config;
    output.json({ ok, revision, ...summary(config), tests: config.judged?.length ?? 0, problems });
  } else {
    if (flags.format === 'github') output.print(problems.map(githubAnnotation));
    else output.error(problems.map((problem) => formatProblem(problem, output)));
    if (errors === 0) printSummary(config, flags.config, output);
    if (errors > 0 || warnings > 0) {
      output.error(`${flags.config}: ${counted(errors, 'error')}, ${counted(warnings, 'warning')}`);
    }
  }
  return ok ? ExitCode.ok : ExitCode.failed;
}

/** What is valid and perhaps not meant, in its place. */
function adviceIn(config: CheckedConfig, directory: string): ConfigProblem[] {
  const compiled = compilePolicy(config, 0);
  return adviceOn({ ...config, compiled }).map(({ template, place, message }) => {
    const at = place?.line;
    return {
      severity: 'warning',
      file: join(directory, 'templates', `${template}.yaml`),
      ...{ line: at ?? 0, column: at === undefined ? 0 : 1 },
      path: place === undefined ? '' : `${place.direction}[${place.position}]`,
      message,
    };
  });
}

/** Rules whose flows are to be logged, and no flow log: once for each template. */
function withoutFlowLog({ gateway, templates }: CheckedConfig, directory: string): ConfigProblem[] {
  if (gateway === undefined || gateway.log.flows !== undefined) return [];
  return templates.flatMap((template): ConfigProblem[] => {
    for (const direction of directions) {
      const position = template[direction].findIndex(({ log }) => log === true);
      if (position < 0) continue;
      const line = linesOf(template[direction])?.[position];
      return [
        {
          severity: 'warning',
          file: join(directory, 'templates', `${template.name}.yaml`),
          ...{ line: line ?? 0, column: line === undefined ? 0 : 1 },
          path: `${direction}[${position}].log`,
          message: 'log: true logs nothing: gateway.yaml has no log.flows',
        },
      ];
    }
    return [];
  });
}

/** About where the directory lies. That of a check before a merge is not the gateway's, so `--strict` lets it pass. */
function exposures(directory: string, state: string | undefined): ConfigProblem[] {
  const places = state === undefined ? [directory] : [directory, state];
  return places
    .flatMap((each) => exposedFolders(each))
    .map((message) => {
      return { severity: 'warning', file: directory, line: 0, column: 0, path: '', message };
    });
}

/** `file:line:col: path: message`, which editors and terminals make clickable. */
function formatProblem(problem: ConfigProblem, output: Output): Line {
  const { file, line: at, column, path, message, severity } = problem;
  const place = [file, ...(at === 0 ? [] : [at, column])].join(':');
  const colour = severity === 'error' ? 'red' : 'yellow';
  const word = severity === 'error' ? '' : 'warning: ';
  const parts = [place, path, output.style(colour, word + message)];
  return Line.join(
    parts.filter((part) => part !== ''),
    ': ',
  );
}

interface Summary {
  readonly templates: readonly {
    readonly name: string;
    readonly inbound: number;
    readonly outbound: number;
    readonly servers: number;
  }[];
  readonly servers: readonly {
    readonly name: string;
    readonly addresses: number;
    /** Those that it names. */
    readonly templates: readonly string[];
    readonly appliedTemplates: readonly { readonly template: string; readonly selector: string }[];
  }[];
  readonly sets: readonly { readonly name: string; readonly entries: number }[];
}

function summary({ templates, servers, sets = [] }: CheckedConfig): Summary {
  const resolver = new Resolver({ templates, servers }, 0);
  const assignments = servers.map((_, index) => resolver.assignmentsOf(index));
  const usersOf = (name: string): number =>
    assignments.filter((own) => own.some(({ template }) => template === name)).length;
  return {
    templates: templates.map(({ name, inbound, outbound }) => ({
      name,
      inbound: inbound.length,
      outbound: outbound.length,
      servers: usersOf(name),
    })),
    servers: servers.map(({ name, addresses, templates: named }, index) => ({
      name,
      addresses: addresses.length,
      templates: named,
      appliedTemplates: assignments[index]!.flatMap(({ template, selector }) =>
        selector === undefined ? [] : { template, selector: selector.text },
      ),
    })),
    sets: sets.map(({ name, addresses, include, listEntries = 0 }) => ({
      name,
      entries: addresses.length + include.length + listEntries,
    })),
  };
}

function printSummary(config: CheckedConfig, directory: string, output: Output): void {
  const { templates, servers, sets } = summary(config);
  const tests = config.judged?.length ?? 0;
  const rows = templates.map((template) => [
    template.name,
    String(template.inbound),
    String(template.outbound),
    String(template.servers),
  ]);
  if (rows.length > 0) {
    output.print(formatTable(['template', 'inbound rules', 'outbound rules', 'servers'], rows));
  }
  const rules = templates.reduce((sum, { inbound, outbound }) => sum + inbound + outbound, 0);
  const bare = servers.filter(
    ({ templates: named, appliedTemplates }) => named.length + appliedTemplates.length === 0,
  );
  output.print(
    line`${output.style('green', `${directory} is valid`)}: ${counted(templates.length, 'template')} with ${counted(rules, 'rule')}, ${counted(servers.length, 'server')}${sets.length === 0 ? '' : `, ${counted(sets.length, 'set')}`}${tests === 0 ? '' : `, ${counted(tests, 'test')} as expected`}`,
  );
  if (bare.length > 0) {
    output.print(
      `without a template, so everything is dropped: ${bare.map(({ name }) => name).join(', ')}`,
    );
  }
}
