import { cellDriverConformance } from '../../conformance/cell-driver.ts'
import { hullSubject } from '../shared/harness.ts'

cellDriverConformance('level_2 bwrap', hullSubject('level_2'))
