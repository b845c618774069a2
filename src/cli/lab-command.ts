/** `tunwall lab exec`: a command as root in namespaces of its own. What makes them is given. */
import { examples, type Outcome, type Verb } from './program.ts';

export function labCommand(exec: (command: readonly string[]) => Outcome): Verb {
  return (program, _output, finish) => {
    const lab = program
      .command('lab')
      .description('networks of namespaces for tests with real packets (see docs/testing.md)');
    lab
      .command('exec <command...>')
      .description(
        'run a command as root in namespaces of its own, so that labs need no root (Linux allows it unless forbidden).\n' +
          'The files and the network are those of outside. When it ends, or is killed, all labs in it end.',
      )
      .addHelpText(
        'after',
        examples([
          ['tunwall lab exec -- npx vitest', 'tests that use tunwall/lab, without root'],
          ['tunwall lab exec -- bash', 'look around: ip netns list'],
        ]),
      )
      .action((command: readonly string[]) => finish(exec(command)));
  };
}
