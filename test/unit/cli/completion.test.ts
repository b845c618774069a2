/**
 * Completion: what the model reads from commander's tree, and the scripts in real shells, bash as its completion calls them and
 * zsh behind a pseudo-terminal, where only it completes at all.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { checkCommand } from '../../../src/cli/check-command.ts';
import { completionCommand } from '../../../src/cli/completion-command.ts';
import { completedCommands } from '../../../src/cli/completion-model.ts';
import { flowsCommand } from '../../../src/cli/flows-command.ts';
import { serverCommand } from '../../../src/cli/server-command.ts';
import { templateCommand } from '../../../src/cli/template-command.ts';
import { createTextEditor } from '../../../src/cli/text-editor.ts';
import { userCommand } from '../../../src/cli/user-command.ts';
import { runCli } from '../../support/cli.ts';
import { offlineConnections } from '../../support/control-plane.ts';
import { TestDirectory, serversText, webText } from '../../support/stores.ts';

const connections = offlineConnections();
const verbs = [
  templateCommand({
    connections,
    readText: () => Promise.reject(new Error('not here')),
    editor: createTextEditor({}),
  }),
  serverCommand(connections),
  userCommand({ connections, readSecret: () => Promise.reject(new Error('not here')) }),
  flowsCommand(connections),
  checkCommand(() => ({ revision: '', templates: [], servers: [], problems: [] })),
  completionCommand(connections),
];
const installed = (program: string): boolean => spawnSync(program, ['-c', ':']).error === undefined;

let directory: TestDirectory;
beforeAll(async () => {
  directory = await TestDirectory.create({
    'templates/web.yaml': webText,
    'templates/web-2.yaml': 'inbound: []\n',
    'servers.yaml': serversText,
  });
});
afterAll(() => directory.remove());

describe('the model', () => {
  const program = new Command('x');
  program.command('hidden', { hidden: true });
  const family = program.command('family').description('a family\nof verbs');
  family
    .command('verb <template> [servers...]')
    .description('does')
    .option('-w, --write <file>', 'where to')
    .option('--dir <dir>', 'a directory')
    .option('--number <n>', 'nothing to say')
    .option('--flag', 'no value');
  const model = completedCommands(program);

  it('has every command that a user sees, and no other', () => {
    expect(model.map(({ path }) => path)).toEqual([
      '',
      'family',
      'family verb',
      'family help',
      'help',
    ]);
    expect(model[0]!.commands).toEqual([
      { name: 'family', description: 'a family' },
      { name: 'help', description: 'display help for command' },
    ]);
  });

  it('knows what values are by their names', () => {
    const verb = model.find(({ path }) => path === 'family verb')!;
    expect(verb.arguments).toEqual([{ kind: 'template' }, { kind: 'server' }]);
    expect(verb.isVariadic).toBe(true);
    expect(verb.options).toEqual([
      { flags: ['-w', '--write'], description: 'where to', value: { kind: 'file' } },
      { flags: ['--dir'], description: 'a directory', value: { kind: 'directory' } },
      { flags: ['--number'], description: 'nothing to say', value: { kind: 'nothing' } },
      { flags: ['--flag'], description: 'no value' },
      { flags: ['-h', '--help'], description: 'display help for command' },
    ]);
  });
});

describe('names', () => {
  test.each([
    ['template', /^web$[^]*^web-2$|^web-2$[^]*^web$/m],
    ['server', 'web-1\ndb-1\n'],
    ['set', ''],
    ['user', ''],
    ['preset', /\nssh\n|^ssh\n/],
  ])('of %ss', async (kind, names) => {
    const args = ['completion', 'names', kind, '--config', directory.path];
    const { code, out } = await runCli(verbs, args);
    expect(code).toBe(0);
    if (typeof names === 'string') expect(out).toBe(names);
    else expect(out).toMatch(names);
  });
});

/** Lines as typed, and what the last word of each can become. A blank at the end: a new word. */
const cases: [line: string, words: string[] | RegExp][] = [
  ['tunwall te', ['template']],
  ['tunwall ', /^check completion flows help server template user$/],
  ['tunwall template a', ['add-rule']],
  ['tunwall template move-rule ', ['web', 'web-2']],
  ['tunwall template move-rule web ', ['inbound', 'outbound']],
  ['tunwall template move-rule web i', ['inbound']],
  ['tunwall template move-rule web inbound ', []],
  ['tunwall template show --json w', ['web', 'web-2']],
  ['tunwall template create new --preset ss', ['ssh']],
  ['tunwall template create new --assign ', ['db-1', 'web-1']],
  ['tunwall template create new --assign web-1 --clo', ['--clone']],
  ['tunwall server assign db-1 w', ['web-1']],
  ['tunwall server assign db-1 web-1 --template web-', ['web-2']],
  ['tunwall user create x --role b', ['billing-admin', 'billing-member']],
  ['tunwall flows k', ['kill']],
  ['tunwall flows --sort ', ['age', 'bytes', 'packets']],
  ['tunwall flows kill --proto u', ['udp']],
  ['tunwall check --j', ['--json']],
  ['tunwall check --config fol', ['folder']],
  ['tunwall template edit web --file f', ['file.yaml', 'folder']],
  ['tunwall completion ', ['bash', 'help', 'zsh']],
  ['tunwall nonsense ', []],
];

describe.each([
  ['bash', ['--norc', '--noprofile']],
  ['zsh', ['-f']],
] as const)('%s', (shell, flags) => {
  let script: string;

  beforeAll(async () => {
    if (!installed(shell)) console.warn(`skipped: ${shell} is not installed`);
    const { code, out, err } = await runCli(verbs, ['completion', shell]);
    expect([code, err]).toEqual([0, '']);
    script = join(directory.path, `completion.${shell}`);
    await writeFile(script, out);
    // What the script asks for names: quicker than the whole program, and it notes what it was asked.
    await mkdir(join(directory.path, 'bin'), { recursive: true });
    const program = join(directory.path, 'bin/tunwall');
    await writeFile(
      program,
      `#!/bin/sh
echo "$*" >> '${directory.path}/asked'
case "$3" in
  template) printf 'web\\nweb-2\\n' ;;
  server) printf 'web-1\\ndb-1\\n' ;;
  preset) printf 'ssh\\nweb-server\\n' ;;
esac
`,
    );
    await chmod(program, 0o755);
    await mkdir(join(directory.path, 'work/folder'), { recursive: true });
    await writeFile(join(directory.path, 'work/file.yaml'), '');
  });

  function shellRun(text: string): { stdout: string; stderr: string } {
    return spawnSync(shell, [...flags, '-c', text], {
      cwd: join(directory.path, 'work'),
      env: { ...process.env, TERM: 'xterm', PATH: `${directory.path}/bin:${process.env['PATH']!}` },
      encoding: 'utf8',
      timeout: 50_000,
    });
  }

  it.skipIf(!installed(shell))('reads the script without a word', () => {
    const check = spawnSync(shell, ['-n', script], { encoding: 'utf8' });
    expect([check.status, check.stdout, check.stderr]).toEqual([0, '', '']);
  });

  it.skipIf(!installed(shell))('completes', async () => {
    await writeFile(join(directory.path, 'asked'), '');
    const found = shell === 'bash' ? bashFound(cases) : zshFound(cases);
    expect(found.length).toBe(cases.length);
    const wrong = cases.flatMap(([line, wanted], index) => {
      const words = [...found[index]!].sort();
      const good =
        wanted instanceof RegExp
          ? wanted.test(words.join(' '))
          : words.join(' ') === wanted.join(' ');
      return good ? [] : [`${line}: ${words.join(' ')}`];
    });
    expect(wrong).toEqual([]);
  });

  it.skipIf(!installed(shell))('asks for names where the command would', async () => {
    await writeFile(join(directory.path, 'asked'), '');
    const line = 'tunwall template show --config /etc/x --json w';
    const found = shell === 'bash' ? bashFound([[line, []]]) : zshFound([[line, []]]);
    expect([...found[0]!].sort()).toEqual(['web', 'web-2']);
    expect(await directory.text('asked')).toBe('completion names template --config /etc/x\n');
  });

  /** As readline calls the function: the words so far, and which one the cursor is on. */
  function bashFound(asked: typeof cases): string[][] {
    const calls = asked.map(([line]) => {
      const words = line.split(' ');
      return `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
_tunwall; echo "= \${COMPREPLY[*]}"`;
    });
    const { stdout, stderr } = shellRun(`source '${script}'\n${calls.join('\n')}`);
    expect(stderr).toBe('');
    return answers(stdout);
  }

  /** In an interactive shell on a pseudo-terminal: what the completion would add is written down. */
  function zshFound(asked: typeof cases): string[][] {
    const offered = join(directory.path, 'offered');
    writeFileSync(offered, '');
    writeFileSync(
      join(directory.path, 'inner.zsh'),
      `PS1=''
autoload -Uz compinit
compinit -u -d '${directory.path}/zcompdump'
source '${script}'
compadd() {
  # With these it computes matches for somebody else.
  if [[ "\${@[1,(i)(-|--)]}" == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
  local -a __found
  builtin compadd -A __found "$@"
  ((\${#__found})) && print -rn -- " $__found" >> '${offered}'
}
note() { print >> '${offered}'; }
probe() { comppostfuncs=(note); zle complete-word; BUFFER=''; }
zle -N probe
bindkey '^T' probe
print >> '${offered}'
`,
    );
    const { stderr } = shellRun(`zmodload zsh/zpty
zpty -b inner zsh -f -i
send() {
  ((count += 1))
  zpty -w -n inner "$1"
  until (($(wc -l < '${offered}') >= count)); do zpty -r inner seen || sleep 0.01; done
}
send "source '${directory.path}/inner.zsh'"$'\n'
${asked.map(([line]) => `send '${line}'$'\\x14'`).join('\n')}
zpty -d inner`);
    expect(stderr).toBe('');
    return answers(readFileSync(offered, 'utf8').replace('\n', ''));
  }
});

/** Words of each line, once each. */
function answers(text: string): string[][] {
  const lines = text.replace(/\n$/, '').split('\n');
  return lines.map((line) => [
    ...new Set(line.split(' ').filter((word) => word !== '' && word !== '=')),
  ]);
}
