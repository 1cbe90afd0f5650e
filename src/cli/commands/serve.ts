export async function serve(): Promise<never> {
  throw new Error('todo')
}
