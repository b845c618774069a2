/**
 * Completion: what the model reads from commander's tree, and the scripts in real shells behind a pseudo-terminal, where
 * keys are typed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
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
import { TestDirectory, webText } from '../../support/stores.ts';

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
    'servers.yaml': `servers:
  - { name: web-1, addresses: [10.0.0.2], region: hkg, labels: { role: web, env: prod } }
  - { name: db-1, addresses: [10.0.0.3], region: hkg, labels: { role: db, note: "two words" } }
`,
    'sets/office.yaml': 'addresses: [192.0.2.0/24]\n',
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
    .option('--at <server[:port]>', 'something behind it')
    .option('--label <key=value>', 'a label')
    .option('--to <selector>', 'which servers')
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
    expect(verb.selectors).toEqual(['--to']);
    expect(verb.options).toEqual([
      { flags: ['-w', '--write'], description: 'where to', value: { kind: 'file' } },
      { flags: ['--dir'], description: 'a directory', value: { kind: 'directory' } },
      { flags: ['--number'], description: 'nothing to say', value: { kind: 'nothing' } },
      { flags: ['--at'], description: 'something behind it', value: { kind: 'server' } },
      { flags: ['--label'], description: 'a label', value: { kind: 'label' } },
      { flags: ['--to'], description: 'which servers', value: { kind: 'selector' } },
      { flags: ['--flag'], description: 'no value' },
      { flags: ['-h', '--help'], description: 'display help for command' },
    ]);
  });
});

describe('names', () => {
  test.each([
    ['template', /^web$[^]*^web-2$|^web-2$[^]*^web$/m],
    ['server', 'web-1\ndb-1\n'],
    ['set', 'office\n'],
    [
      'peer',
      /^any\nserver:web-1\nserver:db-1\n(template:web\n|template:web-2\n){2}set:office\nlabel:role=web\nlabel:env=prod\nlabel:region=hkg\nlabel:role=db\n$/,
    ],
    ['end', /^web-1\ndb-1\nany\nserver:web-1\n/],
    ['selector', 'role=web\nenv=prod\nregion=hkg\nrole=db\n'],
    ['label', 'role=web\nenv=prod\nrole=db\nnote=two words\n'],
    ['key', 'role\nenv\nnote\n'],
    ['region', 'hkg\n'],
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
  [
    'tunwall template add-rule web inbound icmp --from se',
    ['server:db-1', 'server:web-1', 'set:office'],
  ],
  [
    'tunwall template add-rule web inbound icmp --from label:ro',
    ['label:role=db', 'label:role=web'],
  ],
  ['tunwall template add-rule web inbound "TCP: 443" --from=label:role=w', ['label:role=web']],
  [
    'tunwall template add-rule web inbound icmp --from label:role=web,en',
    ['label:role=web,env=prod'],
  ],
  [
    'tunwall template add-rule web inbound icmp --from set:office,server:w',
    ['set:office,server:web-1'],
  ],
  [
    'tunwall template add-rule web inbound icmp --except "label:role=',
    ['label:role=db', 'label:role=web'],
  ],
  ['tunwall server assign --to r', ['region=hkg', 'role=db', 'role=web']],
  ['tunwall server assign --to role=web,env=', ['role=web,env=prod']],
  ['tunwall server assign --to role=web w', ['web', 'web-2']],
  ['tunwall server unassign --from="role=web" web ', ['web', 'web-2']],
  ['tunwall server assign db-1 --template web,web-', ['web,web-2']],
  ['tunwall server list --label env', ['env=prod']],
  ['tunwall server change db-1 --label hostile', [`hostile=$(touch hacked);'x y'`]],
  ['tunwall server change db-1 --label "hostile', [`hostile=$(touch hacked);'x y'`]],
  ['tunwall server edit db-1 --unlabel n', ['note']],
  ['tunwall server edit db-1 --region ', ['hkg']],
];

/** A line as typed, and the whole line behind the key. */
const typed: [line: string, whole: string][] = [
  [
    'tunwall template add-rule web inbound icmp --from label:role=w',
    'tunwall template add-rule web inbound icmp --from label:role=web ',
  ],
  [
    'tunwall template add-rule web inbound icmp --from server:w',
    'tunwall template add-rule web inbound icmp --from server:web-1 ',
  ],
  [
    'tunwall template add-rule web inbound icmp --from=label:role=web,en',
    'tunwall template add-rule web inbound icmp --from=label:role=web,env=prod ',
  ],
  [
    'tunwall template add-rule web inbound icmp --from "label:role=web,en',
    'tunwall template add-rule web inbound icmp --from "label:role=web,env=prod" ',
  ],
  ['tunwall server assign --to ro', 'tunwall server assign --to role='],
  ['tunwall server assign --to=role=w', 'tunwall server assign --to=role=web '],
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
    const terms = 'role=web\nenv=prod\nregion=hkg\nrole=db\n';
    const words = {
      template: 'web\nweb-2\n',
      server: 'web-1\ndb-1\n',
      preset: 'ssh\nweb-server\n',
      peer: `any\nserver:web-1\nserver:db-1\nset:office\n${terms.replaceAll(/^(?=.)/gm, 'label:')}`,
      selector: terms,
      label: `${terms}hostile=$(touch hacked);'x y'\n`,
      key: 'role\nenv\nnote\n',
      region: 'hkg\n',
    };
    for (const [kind, text] of Object.entries(words)) {
      await writeFile(join(directory.path, `bin/${kind}`), text);
    }
    await writeFile(
      program,
      `#!/bin/sh\necho "$*" >> '${directory.path}/asked'\ncat "${directory.path}/bin/$3"\n`,
    );
    await chmod(program, 0o755);
    await mkdir(join(directory.path, 'work/folder'), { recursive: true });
    await writeFile(join(directory.path, 'work/file.yaml'), '');
  });

  const place = () => ({
    cwd: join(directory.path, 'work'),
    env: { ...process.env, TERM: 'dumb', PATH: `${directory.path}/bin:${process.env['PATH']!}` },
  });

  it.skipIf(!installed(shell))('reads the script without a word', () => {
    const check = spawnSync(shell, ['-n', script], { encoding: 'utf8' });
    expect([check.status, check.stdout, check.stderr]).toEqual([0, '', '']);
  });

  it.skipIf(!installed(shell))('completes', async () => {
    await writeFile(join(directory.path, 'asked'), '');
    const found = await offers(cases.map(([line]) => line));
    expect(found.length).toBe(cases.length);
    const wrong = cases.flatMap(([line, wanted], index) => {
      const words = found[index]!.words.toSorted();
      const good =
        wanted instanceof RegExp
          ? wanted.test(words.join(' '))
          : words.join(' | ') === asOffered(line, wanted).join(' | ');
      return good ? [] : [`${line}: ${words.join(' | ')}`];
    });
    expect(wrong).toEqual([]);
    expect(await readdir(join(directory.path, 'work'))).toEqual(['file.yaml', 'folder']);
  });

  it.skipIf(!installed(shell))('types the rest of a peer or a label', async () => {
    const found = await offers(typed.map(([line]) => line));
    expect(found.map(({ line }) => line)).toEqual(typed.map(([, whole]) => whole));
  });

  it.skipIf(!installed(shell))('asks for names where the command would', async () => {
    await writeFile(join(directory.path, 'asked'), '');
    const found = await offers(['tunwall template show --config /etc/x --json w']);
    expect(found[0]!.words.toSorted()).toEqual(['web', 'web-2']);
    expect(await directory.text('asked')).toBe('completion names template --config /etc/x\n');
  });

  /** Words as the shell is given them: without what of the last word it keeps by itself. */
  function asOffered(line: string, wanted: readonly string[]): string[] {
    const word = line.slice(line.lastIndexOf(' ') + 1);
    const isQuoted = /["']/.test(word);
    const quoted = (text: string): string =>
      text.replaceAll(isQuoted ? /\$/g : /[$();' ]/g, String.raw`\$&`);
    // zsh keeps what stands before a comma, bash what stands before its word breaks, and offers nothing odd within quotes.
    if (shell === 'zsh') {
      return wanted.map((each) => quoted(each.slice(word.lastIndexOf(',') + 1)));
    }
    if (isQuoted) return wanted.filter((each) => quoted(each) === each);
    const option = /^--[a-z]+=/.exec(word)?.[0].length ?? 0;
    const kept = Math.max(word.lastIndexOf(':'), word.lastIndexOf('=')) + 1 - option;
    return wanted.map((each) => quoted(each.slice(Math.max(kept, 0))));
  }

  /** What the shell offers for each line, and the line that it makes of it. */
  async function offers(lines: readonly string[]): Promise<Offer[]> {
    const offered = join(directory.path, 'offered');
    writeFileSync(offered, '');
    const setUp = join(directory.path, `inner.${shell}`);
    writeFileSync(setUp, shell === 'bash' ? bashProbe(script, offered) : zshProbe(script, offered));
    // script(1) makes a terminal for the shell.
    const command = [shell, ...flags, '-i'].join(' ');
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      ...place(),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const seen: Buffer[] = [];
    child.stdout.on('data', (bytes: Buffer) => seen.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => seen.push(bytes));
    const isOver = new Promise((resolve) => child.once('close', resolve));
    // One at a time: what is typed while the shell is busy would be read in another mode.
    const answers = (): string[] => readFileSync(offered, 'utf8').split('\n').slice(0, -1);
    for (const [index, keys] of [
      `. '${setUp}'\n`,
      ...lines.map((line) => `${line}\x14`),
    ].entries()) {
      child.stdin.write(keys);
      while (answers().length <= index) {
        if (child.exitCode !== null) throw new Error(Buffer.concat(seen).toString());
        await delay(5);
      }
    }
    child.stdin.end('exit\n');
    await isOver;
    return answers()
      .slice(1)
      .map((answer) => {
        const [line = '', ...words] = answer.split('\t');
        return { line, words: [...new Set(words)] };
      });
  }
});

interface Offer {
  readonly line: string;
  readonly words: readonly string[];
}

/** On ^T: complete, note the line and what was offered, and begin a new line. */
function bashProbe(script: string, offered: string): string {
  return `PS1=''
HISTFILE=
source '${script}'
bind 'set bell-style none'
bind 'set completion-query-items 0'
bind 'set page-completions off'
noted() { _tunwall "$@"; offers=("\${COMPREPLY[@]}"); }
complete -F noted tunwall
note() {
  { printf '%s' "$READLINE_LINE"; printf '\\t%s' "\${offers[@]}"; echo; } >> '${offered}'
  offers=() READLINE_LINE='' READLINE_POINT=0
}
bind '"\\C-xc": complete'
bind -x '"\\C-xn": note'
bind '"\\C-t": "\\C-xc\\C-xn"'
echo >> '${offered}'
`;
}

/** The same for zsh, where what the completion would add is written down. */
function zshProbe(script: string, offered: string): string {
  return `PS1=''
autoload -Uz compinit
compinit -u -D
source '${script}'
compadd() {
  # With these it computes matches for somebody else.
  if [[ "\${@[1,(i)(-|--)]}" == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
  local -a __found
  builtin compadd -A __found "$@"
  offers+=($__found)
  builtin compadd "$@"
}
typeset -ga offers
probe() {
  offers=()
  zle complete-word
  { print -rn -- "$BUFFER"; ((\${#offers})) && printf '\\t%s' "\${offers[@]}"; print } >> '${offered}'
  BUFFER=''
}
zle -N probe
bindkey '^T' probe
print >> '${offered}'
`;
}
