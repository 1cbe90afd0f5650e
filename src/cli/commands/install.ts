export async function install(): Promise<never> {
  throw new Error('todo')
}
