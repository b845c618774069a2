/** `tunwall user`: users of the API and the panel, with their role, password and tokens. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { roles } from '../policy/users.ts';
import { route } from './api-client.ts';
import type { NewTokenView, UserListView, UserView } from './api-types.ts';
import { addMessageOption } from './change-words.ts';
import { clientCommand, clientVerb } from './client-verb.ts';
import type { ClientFlags, ClientParts, CommandText } from './client-verb.ts';
import type { Connections } from './connection.ts';
import type { Output } from './output.ts';
import type { Verb } from './program.ts';
import { formatTable } from '../text/table.ts';

/** Asks for a password, for a new one twice: without echo on a terminal, else a line of standard input. */
export type ReadSecret = (prompt: string, which: 'known' | 'new') => Promise<string>;

export interface UserActions {
  readonly connections: Connections;
  readonly readSecret: ReadSecret;
}

export function userCommand(actions: UserActions): Verb {
  return clientVerb(actions.connections, (program, parts) => {
    const family = program
      .command('user')
      .description(
        'users of the API and the panel: roles, passwords, tokens.\n' +
          'Owners may do everything, members and billing members may view, billing admins may\n' +
          'do nothing here.',
      );
    addListCommand(family, parts);
    addCreateCommand(family, parts, actions);
    addChangeCommands(family, parts, actions);
    addTokenCommands(family, parts);
  });
}

/** Users are no part of the policy: nothing of it waits for a confirmation. */
function changeCommand(parent: Command, text: CommandText): Command {
  return addMessageOption(clientCommand(parent, { ...text, waits: true }), 'the audit log');
}

function addListCommand(family: Command, { output, run }: ClientParts): void {
  clientCommand(family, {
    usage: 'list',
    description: 'all users, with their roles and the names of their tokens',
    examples: [['tunwall user list', '']],
  }).action((flags: ClientFlags) =>
    run(flags, async (client) => {
      const list = await client.get<UserListView>('/users');
      if (flags.json === true) output.json(list);
      else {
        for (const problem of list.problems) output.error(problem);
        const rows = list.users.map(({ name, role, hasPassword, tokens }) => [
          name,
          role,
          hasPassword ? 'yes' : 'no',
          tokens.map((token) => token.name).join(', '),
        ]);
        output.print(formatTable(['user', 'role', 'password', 'tokens'], rows));
      }
    }),
  );
}

interface PasswordFlags extends ClientFlags {
  readonly current?: boolean;
  readonly revokeTokens?: boolean;
}

interface CreateFlags extends ClientFlags {
  readonly role: string;
  readonly password: boolean;
}

function addCreateCommand(
  family: Command,
  { output, run }: ClientParts,
  { readSecret }: UserActions,
): void {
  changeCommand(family, {
    usage: 'create <name>',
    description: 'a new user; asks for the password, or reads it from standard input',
    examples: [
      ['tunwall user create alice --role owner', 'asks for a password'],
      ['tunwall user create ci --role member --no-password', 'for tokens only'],
      ['pwgen -s 20 1 | tunwall user create bob --role member', 'from standard input'],
    ],
  })
    .addOption(
      new Option('--role <role>', 'what the user may do').choices(roles).makeOptionMandatory(),
    )
    .option('--no-password', 'no login with a password')
    .action((name: string, flags: CreateFlags) =>
      run(flags, async (client) => {
        const password = flags.password
          ? await readSecret(`password of ${name}`, 'new')
          : undefined;
        const body = { name, role: flags.role, ...(password !== undefined && { password }) };
        const user = await client.change<UserView>('POST', '/users', { body });
        if (flags.json === true) output.json(user);
        else output.print(`user "${name}" created: ${user.role}`);
      }),
    );
}

function addChangeCommands(
  family: Command,
  { output, run }: ClientParts,
  { readSecret }: UserActions,
): void {
  const role = changeCommand(family, {
    usage: 'role <user>',
    description: 'give a user another role; sessions of the user end',
    examples: [['tunwall user role alice member', 'refused for the last owner']],
  });
  role
    .addArgument(role.createArgument('<role>', 'what the user may do').choices(roles))
    .action((name: string, wanted: string, flags: ClientFlags) =>
      run(flags, async (client) => {
        const body = { role: wanted };
        const user = await client.change<UserView>('PUT', route`/users/${name}/role`, { body });
        if (flags.json === true) output.json(user);
        else output.print(`user "${name}" is ${user.role}`);
      }),
    );

  changeCommand(family, {
    usage: 'password <user>',
    description: 'set a new password; asks for it, or reads it from standard input',
    examples: [
      ['tunwall user password alice', 'sessions of the user end'],
      ['tunwall user password alice --revoke-tokens', 'and all API tokens: after a theft'],
      [
        'tunwall user password alice --current --url URL',
        'your own, with a token; not of an owner',
      ],
    ],
  })
    .option('--current', 'also ask for (read) the password of now: needed for your own over --url')
    .option('--revoke-tokens', 'end all API tokens of the user; without it they stay valid')
    .action((name: string, flags: PasswordFlags) =>
      run(flags, async (client) => {
        const current =
          flags.current === true ? await readSecret(`password of ${name}`, 'known') : undefined;
        const password = await readSecret(`new password of ${name}`, 'new');
        const { revokeTokens = false } = flags;
        const body = {
          password,
          ...(current !== undefined && { current }),
          ...(revokeTokens && { revokeTokens }),
        };
        const user = await client.change<UserView>('PUT', route`/users/${name}/password`, { body });
        if (flags.json === true) output.json(user);
        else printNewPassword(user, revokeTokens, output);
      }),
    );

  changeCommand(family, {
    usage: 'destroy <user>',
    description: 'destroy a user, with all tokens and sessions',
    examples: [['tunwall user destroy bob', 'refused for the last owner']],
  }).action((name: string, flags: ClientFlags) =>
    run(flags, async (client) => {
      const answer = await client.change<unknown>('DELETE', route`/users/${name}`);
      if (flags.json === true) output.json(answer ?? {});
      else output.print(`user "${name}" destroyed`);
    }),
  );
}

/** Tokens that were made before are named: after a theft somebody else may have them. */
function printNewPassword({ name, tokens }: UserView, revoked: boolean, output: Output): void {
  output.print(`user "${name}" has a new password${revoked ? ' and no API tokens any more' : ''}`);
  if (tokens.length === 0) return;
  const names = tokens.map((token) => token.name).join(', ');
  output.error(`API tokens made before stay valid: ${names} (--revoke-tokens ends them)`);
}

function addTokenCommands(family: Command, { output, run }: ClientParts): void {
  const tokens = family
    .command('token')
    .description('tokens for programs: they may do what their user may, until they are revoked');

  changeCommand(tokens, {
    usage: 'create <user> <token>',
    description: 'a new token. It is printed once, on standard output, and stored as a hash',
    examples: [['tunwall user token create ci deploy > token', 'then: --token-file token']],
  }).action((name: string, token: string, flags: ClientFlags) =>
    run(flags, async (client) => {
      const made = await client.change<NewTokenView>('POST', route`/users/${name}/tokens`, {
        body: { name: token },
      });
      if (flags.json === true) output.json(made);
      else {
        output.print(made.token);
        output.error(`token "${token}" of "${name}": keep it, it is not shown again`);
      }
    }),
  );

  changeCommand(tokens, {
    usage: 'revoke <user> <token>',
    description: 'end a token',
    examples: [['tunwall user token revoke ci deploy', '']],
  }).action((name: string, token: string, flags: ClientFlags) =>
    run(flags, async (client) => {
      const answer = await client.change<unknown>('DELETE', route`/users/${name}/tokens/${token}`);
      if (flags.json === true) output.json(answer ?? {});
      else output.print(`token "${token}" of "${name}" revoked`);
    }),
  );
}
