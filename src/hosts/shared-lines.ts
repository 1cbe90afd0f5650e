import { isSameEntry, type HostsEntry, type OwnLine } from './block.ts'

/**
 * Returns the entries that no other owner has, as `shared` says: only these come into a hosts file
 * or leave it.
 */
export const notShared = (
  entries: readonly HostsEntry[],
  shared: readonly OwnLine[],
): HostsEntry[] =>
  entries
    .filter((entry) => !shared.some((line) => isSameEntry(line, entry)))
    .map(({ name, address }) => ({ name, address }))

/** Returns the sentence, without its end, for a line that stays for its other owners. */
export const staying = (line: OwnLine): string =>
  `${line.address} ${line.name} stays for ${ownersOf(line)}`

/** Returns the sentence, without its end, for a line that other owners have already. */
export const presentAlready = (line: OwnLine): string =>
  `${line.address} ${line.name} is there already for ${ownersOf(line)}, and is kept for both`

const ownersOf = ({ owners }: OwnLine): string =>
  owners.map(({ user, project }) => project ?? `the user ${user}`).join(' and ')
