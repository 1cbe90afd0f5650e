import { isTrusted, scopesIn, scopesInPart } from '../authority/scope.ts'
import type { Storage } from '../storage/storage.ts'

/**
 * Returns the roots that the team's machines are to trust, PEM: that of the authority in use, of the one
 * that `prepareRotation` made, and of those before, whose certificates are still in use.
 */
export async function publishedRoots(storage: Storage): Promise<string> {
  const scopes = [
    ...(await scopesIn(storage)),
    ...(await scopesInPart(storage, '.next')),
    ...(await scopesInPart(storage, '.old')),
  ]
  return scopes
    .filter(isTrusted)
    .map(({ root }) => root.toString())
    .join('')
}

/**
 * Returns a storage whose scopes are also those that a rotation replaced. A responder goes on with their
 * OCSP and CRLs, since their certificates are still in use; nothing else is signed with their keys.
 */
export function withRetired(storage: Storage): Storage {
  const { scopes } = storage
  const isRetired = async (name: string): Promise<boolean> => !(await scopes.names()).includes(name)
  return {
    ...storage,
    scopes: {
      ...scopes,
      async names() {
        const retired = (await scopes.parts()).filter(({ part }) => part === '.old')
        return [...(await scopes.names()), ...retired.map(({ name }) => name)]
      },
      read: async (name, part) =>
        scopes.read(name, part ?? ((await isRetired(name)) ? '.old' : undefined)),
      // Only a scope of client certificates has one, and a team's is of servers.
      rootOcsp: async (name) => ((await isRetired(name)) ? null : scopes.rootOcsp(name)),
    },
  }
}
