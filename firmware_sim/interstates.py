"""Real roads as way-points, latitude and longitude in degrees, typed from knowledge of the map.

Towns and junctions on the way, some 20-60 km apart, closer where the road bends. Good to a few kilometres in between.
"""

from __future__ import annotations

import numpy as np

from firmware_sim.roads import Road

I80_RENO_SALT_LAKE_CITY = Road(
    name="I-80 Reno - Salt Lake City",
    waypoints_deg=np.array(
        (
            (39.5332, -119.8170),  # Reno
            (39.5330, -119.7510),  # Sparks
            (39.5180, -119.6460),  # Mustang, in the Truckee canyon
            (39.5630, -119.4840),  # Tracy-Clark
            (39.5970, -119.3300),
            (39.6090, -119.2520),  # Fernley
            (39.7230, -119.0480),  # Nightingale
            (39.9450, -118.7500),  # Trinity
            (40.1790, -118.4740),  # Lovelock
            (40.4260, -118.2790),  # Oreana to Rye Patch
            (40.6150, -118.1960),  # Humboldt
            (40.6880, -118.0700),  # Mill City
            (40.8500, -117.8480),  # Rose Creek
            (40.9730, -117.7300),  # Winnemucca
            (40.9520, -117.4930),  # Golconda
            (40.9030, -117.3100),  # Golconda summit
            (40.8070, -117.0770),  # Valmy
            (40.6480, -116.9300),  # Battle Mountain
            (40.6370, -116.7400),
            (40.5950, -116.4900),  # Dunphy
            (40.6580, -116.2870),  # Emigrant
            (40.7130, -116.1120),  # Carlin
            (40.7640, -115.9250),
            (40.8440, -115.7630),  # Elko
            (40.9590, -115.4950),  # Halleck turn
            (41.0420, -115.2750),  # Deeth
            (41.1080, -114.9650),  # Wells
            (41.0300, -114.6300),  # Independence valley
            (41.0200, -114.4100),  # Oasis
            (40.8640, -114.2220),  # Silver Zone pass
            (40.7390, -114.0580),  # West Wendover
            (40.7310, -113.7700),  # Bonneville salt flats
            (40.7280, -113.3000),  # Knolls
            (40.8040, -113.0230),  # Aragonite
            (40.7600, -112.7730),  # Delle
            (40.6960, -112.5000),
            (40.6850, -112.2650),  # Lake Point
            (40.7420, -112.1800),  # Great Salt Lake shore
            (40.7690, -112.0250),  # airport
            (40.7560, -111.9130),  # Salt Lake City
        )
    ),
)

I5_SACRAMENTO_PORTLAND = Road(
    name="I-5 Sacramento - Portland",
    waypoints_deg=np.array(
        (
            (38.5830, -121.5050),  # Sacramento
            (38.6760, -121.6230),  # airport
            (38.6830, -121.7630),  # Woodland
            (38.8850, -121.9750),  # Dunnigan
            (39.1540, -122.1370),  # Williams
            (39.5240, -122.2130),  # Willows
            (39.7470, -122.2080),  # Orland
            (39.9270, -122.1940),  # Corning
            (40.1780, -122.2250),  # Red Bluff
            (40.4480, -122.2940),  # Anderson
            (40.5840, -122.3620),  # Redding
            (40.7620, -122.3200),  # Shasta lake
            (40.9030, -122.3800),  # Lakehead
            (41.0700, -122.3630),  # Sims
            (41.1570, -122.3050),  # Castella
            (41.2120, -122.2720),  # Dunsmuir
            (41.3110, -122.3180),  # Mount Shasta
            (41.4230, -122.3830),  # Weed
            (41.5900, -122.5350),  # Grenada
            (41.7280, -122.6280),  # Yreka
            (41.8900, -122.5700),  # Klamath river
            (42.0640, -122.6050),  # Siskiyou summit
            (42.1840, -122.6700),  # Ashland
            (42.3270, -122.8660),  # Medford
            (42.4300, -123.0500),  # Gold Hill
            (42.4300, -123.2900),  # Grants Pass
            (42.6140, -123.3850),  # Sunny Valley
            (42.7420, -123.3620),  # Glendale junction
            (42.9270, -123.2830),  # Canyonville
            (43.1090, -123.3620),  # Dillard
            (43.2170, -123.3600),  # Roseburg
            (43.3900, -123.3270),  # Sutherlin
            (43.6000, -123.2600),  # Rice Hill
            (43.7930, -123.0700),  # Cottage Grove
            (44.0530, -123.0480),  # Eugene
            (44.3600, -123.0600),
            (44.6360, -123.0620),  # Albany
            (44.8000, -123.0300),
            (44.9380, -122.9900),  # Salem
            (45.1500, -122.8780),  # Woodburn
            (45.3000, -122.7680),  # Wilsonville
            (45.4200, -122.7450),  # Tigard
            (45.5060, -122.6760),  # Portland
        )
    ),
)

I40_BARSTOW_ALBUQUERQUE = Road(
    name="I-40 Barstow - Albuquerque",
    waypoints_deg=np.array(
        (
            (34.8900, -117.0000),  # Barstow
            (34.8600, -116.8800),  # Daggett
            (34.8170, -116.6400),  # Newberry Springs
            (34.7230, -116.1600),  # Ludlow
            (34.7220, -115.6600),  # Kelbaker road
            (34.7740, -115.2400),  # Essex road
            (34.8900, -114.9000),  # Mountain Springs summit
            (34.8400, -114.6100),  # Needles
            (34.7170, -114.4860),  # Topock, Colorado river
            (34.7700, -114.2500),  # Yucca side
            (35.0200, -114.1600),
            (35.1900, -114.0600),  # Kingman
            (35.1500, -113.7000),
            (35.1700, -113.4000),
            (35.2100, -113.2000),
            (35.3200, -112.8700),  # Seligman
            (35.2250, -112.4840),  # Ash Fork
            (35.2600, -112.1900),  # Williams
            (35.2400, -111.8300),  # Bellemont
            (35.1740, -111.6600),  # Flagstaff
            (35.2070, -111.4300),  # Winona
            (35.1200, -111.0200),  # Meteor Crater
            (35.0330, -110.6900),  # Winslow
            (34.9300, -110.1500),  # Holbrook
            (35.0700, -109.7800),  # Petrified Forest
            (35.2200, -109.3200),  # Sanders
            (35.3600, -109.0500),  # Lupton
            (35.5200, -108.7500),  # Gallup
            (35.4100, -108.2200),  # continental divide
            (35.1700, -107.9000),  # Milan
            (35.1200, -107.8300),  # Grants
            (35.0700, -107.5700),
            (35.0300, -107.3800),  # Laguna
            (35.0400, -107.0000),
            (35.0600, -106.7500),
            (35.1060, -106.6290),  # Albuquerque
        )
    ),
)

I70_DENVER_KANSAS_CITY = Road(
    name="I-70 Denver - Kansas City",
    waypoints_deg=np.array(
        (
            (39.7800, -104.9900),  # Denver
            (39.7450, -104.8000),  # Aurora
            (39.7400, -104.6000),  # Watkins
            (39.7350, -104.3200),  # Strasburg
            (39.7100, -104.0900),  # Deer Trail side
            (39.6150, -104.0400),  # Deer Trail
            (39.4600, -103.8800),  # Agate
            (39.2700, -103.6900),  # Limon
            (39.2780, -103.4990),  # Genoa
            (39.2840, -103.2740),  # Arriba
            (39.2930, -103.0700),  # Flagler
            (39.2970, -102.8690),  # Seibert
            (39.3000, -102.6030),  # Stratton
            (39.2980, -102.2690),  # Burlington
            (39.3280, -102.0370),  # Kanorado
            (39.3330, -101.7200),  # Goodland
            (39.3580, -101.3770),  # Brewster
            (39.3700, -101.0500),  # Colby
            (39.1350, -100.8500),  # Oakley
            (39.1200, -100.6300),  # Grinnell
            (39.0640, -100.2350),  # Quinter
            (39.0070, -99.8830),  # WaKeeney
            (38.9300, -99.5600),  # Ellis
            (38.9000, -99.3200),  # Hays
            (38.8700, -98.8500),  # Russell
            (38.8100, -98.4700),  # Wilson
            (38.7830, -98.2300),  # Ellsworth
            (38.8450, -97.9000),  # Brookville
            (38.8700, -97.6400),  # Salina
            (38.9380, -97.2150),  # Abilene
            (39.0100, -96.8400),  # Junction City
            (39.0700, -96.4000),
            (39.0600, -96.0200),  # Maple Hill side
            (39.0560, -95.6900),  # Topeka
            (39.0000, -95.2500),  # Lawrence
            (39.0900, -94.9000),  # Bonner Springs
            (39.1050, -94.6000),  # Kansas City
        )
    ),
)

INTERSTATES = (I80_RENO_SALT_LAKE_CITY, I5_SACRAMENTO_PORTLAND, I40_BARSTOW_ALBUQUERQUE, I70_DENVER_KANSAS_CITY)
