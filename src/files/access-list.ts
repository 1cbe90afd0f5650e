/*
 * On Windows a file has no mode but an access list, by default the one that it inherits from its
 * directory. There these functions run the programs that read and change it; elsewhere they do
 * nothing. They are loaded only there: execa takes long to load.
 */

/**
 * Finds out for whom secrets are kept, so that a later `keepToUser` does not fail for want of that.
 * Call it before a certificate is signed. Throws `tool-failed`.
 */
export async function askForUser(): Promise<void> {
  if (process.platform === 'win32')
    await (await import('../../platform/windows/acl.ts')).currentUser()
}

/**
 * Lets only the current user read and write a file, or a directory with all that is made in it. Call
 * it before a secret is written there. Throws `tool-failed`.
 */
export async function keepToUser(path: string, kind: 'file' | 'directory'): Promise<void> {
  if (process.platform !== 'win32') return
  await (await import('../../platform/windows/acl.ts')).restrictToUser(path, kind)
}
