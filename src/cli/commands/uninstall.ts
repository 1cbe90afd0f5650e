export async function uninstall(): Promise<never> {
  throw new Error('todo')
}
