import { cellDriverConformance } from '../../conformance/cell-driver.ts'
import { hullSubject } from '../shared/harness.ts'

cellDriverConformance('level_1 unshare', hullSubject('level_1'))
