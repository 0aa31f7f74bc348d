// The tests that start processes take longest. They come first, so that none of them runs alone at the end; among their
// like, Jest's own order counts: how long they took the last time, or how large they are.
import Sequencer from '@jest/test-sequencer'

const rooms = ['guides', 'e2e', 'commands', 'fuzz', 'lib']

export default class LongestFirst extends Sequencer {
  async sort(tests) {
    const inOrder = await super.sort(tests)
    const room = ({path}) => rooms.findIndex((name) => path.includes(`/test/${name}/`))
    return inOrder.toSorted((one, other) => room(one) - room(other))
  }
}
