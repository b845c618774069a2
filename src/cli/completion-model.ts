/**
 * The completion model, read from commander's own tree, so that no verb can be forgotten.
 *
 * The values of an argument or option follow from its choices, or from its name in the usage: `<template>` completes
 * templates, `<file>` files. Any other name completes nothing.
 */
import type { Argument, Command, Option } from 'commander';

/** Lists of the API, by the name of what is in them. */
export const listKinds = ['template', 'server', 'set', 'user', 'preset'] as const;

/**
 * Names that only the API knows: what its lists have, the peers of a rule, the terms of a selector (`role=web`), the labels
 * that servers were given, their keys, regions, and the ends of `tunwall reach`.
 */
export const nameKinds = [
  ...listKinds,
  ...['peer', 'selector', 'label', 'key', 'region', 'end'],
] as const;
export type NameKind = (typeof nameKinds)[number];

export type ValueKind =
  | { readonly kind: NameKind | 'file' | 'directory' | 'nothing' }
  | { readonly kind: 'words'; readonly words: readonly string[] };

export interface CompletedOption {
  /** `-w`, `--write`. */
  readonly flags: readonly string[];
  readonly description: string;
  /** Absent: the option takes no value. */
  readonly value?: ValueKind;
}

export interface CompletedCommand {
  /** `template add-rule`; empty: the program itself. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly CompletedOption[];
  readonly arguments: readonly ValueKind[];
  /** The last argument may be repeated. */
  readonly isVariadic: boolean;
  /** Options that say by a selector which servers are meant; names of servers are names of templates then. */
  readonly selectors: readonly string[];
}

/** The program and all of its commands that a user may see. */
export function completedCommands(program: Command): CompletedCommand[] {
  return walk(program, '');
}

function walk(command: Command, path: string): CompletedCommand[] {
  const help = command.createHelp();
  const children = help.visibleCommands(command);
  const options = help.visibleOptions(command).map((option): CompletedOption => ({
    flags: [option.short, option.long].filter((flag) => flag !== undefined),
    description: firstLine(option.description),
    ...(takesValue(option) && { value: kindOf(option.argChoices, option.flags) }),
  }));
  const own: CompletedCommand = {
    path,
    commands: children.map((child) => ({
      name: child.name(),
      description: firstLine(help.subcommandDescription(child)),
    })),
    options,
    arguments: command.registeredArguments.map(argumentKind),
    isVariadic: command.registeredArguments.at(-1)?.variadic === true,
    selectors: options
      .filter(({ value }) => value?.kind === 'selector')
      .flatMap(({ flags }) => flags),
  };
  return [
    own,
    ...children.flatMap((child) =>
      // Under its other names, too.
      [child.name(), ...child.aliases()].flatMap((name) =>
        walk(child, path === '' ? name : `${path} ${name}`),
      ),
    ),
  ];
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

function argumentKind(argument: Argument): ValueKind {
  return kindOf(argument.argChoices, `<${argument.name()}>`);
}

function kindOf(choices: readonly string[] | undefined, usage: string): ValueKind {
  if (choices !== undefined) return { kind: 'words', words: choices };
  if (usage.includes('<key=value>')) return { kind: 'label' };
  // What may follow a name stands in brackets: `<server[:port]>`.
  const name = /[<[]([a-z-]+?)s?(?:\.\.\.|\[[^\]]*\])?[>\]]/.exec(usage)?.[1];
  const known = nameKinds.find((kind) => kind === name);
  if (known !== undefined) return { kind: known };
  if (name === 'file' || name === 'path') return { kind: 'file' };
  return { kind: name === 'dir' ? 'directory' : 'nothing' };
}

function firstLine(text: string): string {
  return text.split('\n')[0]!;
}
