export async function getCommand(): Promise<never> {
  throw new Error('todo')
}
