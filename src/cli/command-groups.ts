import type { CommandSpec } from './command.ts'

/** The first words of the commands that have two words, with the summaries that help shows. */
export const groups = {
  ca: 'Look after the CA: list, permit, rotate, …',
  daemon: 'Look after the daemon: start, stop, status, …',
  proxy: 'HTTPS names for local servers: add, remove, list',
  hosts: 'Look after names in the hosts file: add, remove, list',
  acme: 'Look after the ACME server',
  server: 'Serve ACME for a team: init, run, eab, rotate, …',
} as const

export type Group = keyof typeof groups

export const isGroup = (word: string): word is Group => Object.hasOwn(groups, word)

/** Returns the first word of a command that has two; `null`: the command has one. */
export function groupOf({ name }: Pick<CommandSpec, 'name'>): Group | null {
  const [first = ''] = name.split(' ')
  return name.includes(' ') && isGroup(first) ? first : null
}
