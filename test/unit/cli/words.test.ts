/** The words of the command line: older spellings, proposals, defaults; and errors for programs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkCommand } from '../../../src/cli/check-command.ts';
import { UserError } from '../../../src/cli/errors.ts';
import { flowsCommand } from '../../../src/cli/flows-command.ts';
import { withoutDestructive } from '../../../src/cli/old-spellings.ts';
import { serverCommand } from '../../../src/cli/server-command.ts';
import { runCli } from '../../support/cli.ts';
import type { Ran } from '../../support/cli.ts';
import { offlineConnections } from '../../support/control-plane.ts';
import { readText } from '../../support/documents.ts';
import { OfflineCli } from '../../support/offline-cli.ts';

describe('words', () => {
  const connections = offlineConnections();
  const ask = (...args: string[]): Promise<Ran> =>
    runCli([serverCommand(connections), flowsCommand(connections)], args);

  test('an older spelling is accepted, with a notice', async () => {
    const cli = await OfflineCli.createWithTemplates();
    try {
      expect(await cli.run(['server', 'remove', 'web-1', '--template', 'web'])).toEqual({
        code: 0,
        out: expect.stringContaining('taken from') as string,
        err: 'note: server remove is called server unassign now\n',
      });
      expect(await cli.ok('server', 'show', 'web-1', '--json')).toContain('"templates": []');
    } finally {
      await cli.remove();
    }
    const wrong = await ask('flows', '--protocol=gre');
    expect(wrong.code).toBe(2);
    expect(wrong.err).toContain('note: --protocol is called --proto now\n');
    expect(wrong.err).toContain("option '--proto <protocol>' argument 'gre' is invalid");
  });

  test('a verb that destroys is never proposed', async () => {
    const { code, err } = await ask('server', 'history');
    expect(code).toBe(2);
    expect(err).toContain("unknown command 'history'");
    expect(err).not.toContain('destroy');
    expect(withoutDestructive('x\n(Did you mean one of destroy, show?)')).toBe(
      'x\n(Did you mean show?)',
    );
    expect((await ask('server', 'lits')).err).toContain('(Did you mean list?)');
  });

  test('no option says its default twice', () => {
    const twice = readText('docs/command-line.md')
      .split('\n')
      .filter((line) => /\(default.*\(default/.test(line));
    expect(twice).toEqual([]);
  });

  test('no option takes a secret, which every user of the machine would see in ps', () => {
    const options = readText('docs/command-line.md').matchAll(
      /^ {2}(?:-\w, )?(--\S*(?:password|token|secret|key)\S*(?: <\S+>)?)/gm,
    );
    const taken = new Set([...options].map(([, option]) => option!));
    expect([...taken].filter((option) => option.includes('<'))).toEqual(['--token-file <file>']);
    expect(taken).toContain('--no-password');
  });
});

describe('what is said beside the answer, with --json', () => {
  test('is JSON on standard error as well', async () => {
    const cli = await OfflineCli.createWithTemplates();
    try {
      const { code, out, err } = await cli.run([
        ...['server', 'remove', 'web-1', '--template', 'web', '--json'],
      ]);
      expect([code, JSON.parse(out)]).toEqual([0, expect.any(Object)]);
      expect(JSON.parse(err)).toEqual({ note: 'server remove is called server unassign now' });
    } finally {
      await cli.remove();
    }
  });
});

describe('errors with --json', () => {
  const connections = offlineConnections();
  const errorOf = async (...args: string[]): Promise<unknown> => {
    const { out, err } = await runCli(
      [serverCommand(connections), checkCommand(() => Promise.reject(new UserError('no', 'try')))],
      [...args, '--json'],
    );
    expect(out).toBe('');
    return (JSON.parse(err) as { error: unknown }).error;
  };

  test('are JSON on standard error, whatever is wrong', async () => {
    expect(await errorOf('check')).toEqual({ message: 'no', hint: 'try', exitCode: 1 });
    expect(await errorOf('server', 'lits')).toMatchObject({
      message: expect.stringContaining("unknown command 'lits'") as string,
      exitCode: 2,
    });
    expect(await errorOf('server', 'list', '--nope')).toMatchObject({ exitCode: 2 });
    expect(await errorOf('server')).toMatchObject({ exitCode: 2 });
    const silent = ['--socket', '/nonexistent/sock'];
    expect(await errorOf('server', 'list', ...silent)).toMatchObject({ exitCode: 1 });
    const directory = await mkdtemp(join(tmpdir(), 'twt-'));
    try {
      expect(await errorOf('server', 'show', 'nope', '--config', directory)).toMatchObject({
        kind: 'not-found',
        message: expect.stringContaining('nope') as string,
        exitCode: 1,
      });
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
