/**
 * The verbs of the control plane as they are typed, where no firewall runs: on a directory of their own, with an editor and
 * passwords that the test says.
 */
import { confirmCommand } from '../../src/cli/confirm-command.ts';
import { diffCommand, historyCommand, rollbackCommand } from '../../src/cli/history-command.ts';
import { applyCommand, planCommand } from '../../src/cli/plan-command.ts';
import { serverCommand } from '../../src/cli/server-command.ts';
import { setCommand } from '../../src/cli/set-command.ts';
import { auditCommand, statusCommand } from '../../src/cli/status-command.ts';
import { templateCommand } from '../../src/cli/template-command.ts';
import { createTextEditor } from '../../src/cli/text-editor.ts';
import { userCommand } from '../../src/cli/user-command.ts';
import { runCli } from './cli.ts';
import type { Ran, RunOptions } from './cli.ts';
import { offlineConnections } from './control-plane.ts';
import { TestDirectory, serversText, webText } from './stores.ts';

export class OfflineCli {
  readonly directory: TestDirectory;
  /** What is typed when a password is asked for, in turn. */
  secrets: string[] = ['correct horse battery'];
  editor = 'false';

  static async create(files: Record<string, string>): Promise<OfflineCli> {
    return new OfflineCli(await TestDirectory.create(files));
  }

  /** On a directory with the templates `web`, which servers have, and `spare`, which none has. */
  static createWithTemplates(): Promise<OfflineCli> {
    return OfflineCli.create({
      'templates/web.yaml': webText,
      'templates/spare.yaml': 'inbound: [{ protocol: icmp }]\n',
      'servers.yaml': serversText,
    });
  }

  private constructor(directory: TestDirectory) {
    this.directory = directory;
  }

  /** @param input what `-` as a file says */
  run(args: readonly string[], input = '', options: RunOptions = {}): Promise<Ran> {
    return this.runBare([...args, '--config', this.directory.path], input, options);
  }

  /** Without saying whom to ask. */
  runBare(args: readonly string[], input = '', options: RunOptions = {}): Promise<Ran> {
    const connections = offlineConnections();
    const edited = {
      connections,
      readText: () => Promise.resolve(input),
      editor: createTextEditor({ EDITOR: this.editor }),
    };
    const verbs = [
      templateCommand(edited),
      setCommand(edited),
      serverCommand(connections),
      userCommand({
        connections,
        readSecret: () => Promise.resolve(this.secrets.shift() ?? ''),
      }),
      statusCommand(connections),
      auditCommand(connections),
      historyCommand(connections),
      diffCommand(connections),
      rollbackCommand(connections),
      confirmCommand(connections),
      planCommand(connections),
      applyCommand(connections),
    ];
    return runCli(verbs, args, options);
  }

  /** Runs what has to succeed without a word on standard error; gives what it printed. */
  async ok(...args: string[]): Promise<string> {
    const { code, out, err } = await this.run(args);
    // What a change opens is said, and no fault.
    const said = err.split('\n').filter((each) => each !== '' && !each.startsWith('opens '));
    if (code !== 0 || said.length > 0) throw new Error(`${args.join(' ')}: ${code} ${err}`);
    return out;
  }

  remove(): Promise<void> {
    return this.directory.remove();
  }
}
